/* Memory that ends where nothing may be read or written, from POSIX or from Windows. */
#ifndef PAGES_H
#define PAGES_H
#include <stddef.h>
#ifdef _WIN32
#include <windows.h>

static size_t page_bytes(void) {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwPageSize;
}

/* NULL where there is none. */
static unsigned char *pages(size_t bytes) {
    return VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

/* Whether the pages can no longer be touched. */
static int closed(void *at, size_t bytes) {
    DWORD before;
    return VirtualProtect(at, bytes, PAGE_NOACCESS, &before) != 0;
}
#else
#include <sys/mman.h>
#include <unistd.h>

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static unsigned char *pages(size_t bytes) {
    void *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return all == MAP_FAILED ? NULL : all;
}

static int closed(void *at, size_t bytes) { return mprotect(at, bytes, PROT_NONE) == 0; }
#endif
#endif
