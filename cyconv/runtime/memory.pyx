"""The one door to memory: aligned, checked, reusable workspace."""

import threading

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __linux__
    #include <sys/mman.h>
    #endif
    #ifdef _WIN32
    #include <malloc.h>
    #define free_aligned _aligned_free
    #else
    #define free_aligned free
    #endif
    /* NULL where there is no memory. Any memory is aligned to two words. */
    static void *new_aligned(size_t alignment, size_t size) {
    #ifdef _WIN32
        return _aligned_malloc(size, alignment);
    #else
        void *memory;
        if (alignment <= 2 * sizeof(void *)) return malloc(size);
        return posix_memalign(&memory, alignment, size) ? NULL : memory;
    #endif
    }
    /* Ask for pages of 2 MiB, where the system has them: fewer faults, fewer address misses. */
    static void in_large_pages(void *memory, size_t size) {
    #ifdef MADV_HUGEPAGE
        (void)madvise(memory, size, MADV_HUGEPAGE);
    #else
        (void)memory, (void)size;
    #endif
    }
    /* The large block freed last, or NULL; its first bytes hold its size. Whoever takes it out has
     * it alone. */
    static void *spare;
    static void *exchange_spare(void *block) {
        return __atomic_exchange_n(&spare, block, __ATOMIC_ACQ_REL);
    }
    """
    void *new_aligned(size_t alignment, size_t size) nogil
    void free_aligned(void *memory) nogil
    void in_large_pages(void *memory, size_t size) nogil
    void *exchange_spare(void *block) nogil

cdef enum:
    ALIGNMENT = 64
    LARGE_PAGE = 2 << 20
    KEPT = 64 << 20  # bytes of scratch a thread keeps between calls


# The system clears the pages of a new large block, which takes longer than to fill it: a call that
# packs its weights and forgets them would pay for that each time. So the one freed last is kept.
cdef void release(void *data, size_t size) noexcept:
    if 2 * LARGE_PAGE <= size <= KEPT:
        (<size_t *>data)[0] = size
        data = exchange_spare(data)
    free_aligned(data)


cdef void *take_spare(size_t *size) noexcept:
    """The block freed last, if `size` bytes fill more than half of it; `size` becomes its own."""
    cdef void *data = exchange_spare(NULL)
    cdef size_t whole
    if data == NULL:
        return NULL
    whole = (<size_t *>data)[0]
    if whole // 2 < size[0] <= whole:
        size[0] = whole
        return data
    free_aligned(exchange_spare(data))  # back again; another thread may have left one since
    return NULL


cdef void *allocated(size_t alignment, size_t size, str what) except NULL:
    """New memory, or a MemoryError that names `what`."""
    cdef void *memory = new_aligned(alignment, size)
    if memory == NULL:
        raise MemoryError(f"cyconv: cannot allocate {size} bytes of {what}")
    return memory


cdef check_free(size_t size, str what):
    """MemoryError, which names `what`, unless `size` bytes can be had. They are not kept."""
    free_aligned(allocated(ALIGNMENT, size, what))


cdef class Buffer:
    """Owns `size` bytes, aligned to a cache line unless they were asked for otherwise."""

    def __dealloc__(self):
        release(self.data, self.size)

    cdef reserve(self, size_t size, str what, size_t alignment=ALIGNMENT):
        """Make room for `size` bytes; what was there is lost. MemoryError names `what`.

        Small tables need no `alignment` to a cache line, which takes longer to find.
        """
        cdef void *memory = NULL
        cdef bint large
        if size <= self.size:
            return
        release(self.data, self.size)
        self.data = NULL
        self.size = 0
        large = size >= 2 * LARGE_PAGE
        if large:
            memory = take_spare(&size)
        if memory == NULL:
            memory = allocated(LARGE_PAGE if large else alignment, size, what)
            if large:
                in_large_pages(memory, size)
        self.data = <char *>memory
        self.size = size


_local = threading.local()


def workspace(size_t size):
    """This Python thread's scratch, at least `size` bytes: taken by one call at a time.

    Small workspaces are kept for the thread's next call, so that a repeated call allocates
    nothing.
    """
    cdef Buffer kept = getattr(_local, "buffer", None)
    if size > KEPT:
        kept = Buffer()
    elif kept is None:
        kept = _local.buffer = Buffer()
    kept.reserve(size, "workspace")
    return kept
