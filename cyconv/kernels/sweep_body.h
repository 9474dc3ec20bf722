/* A chain that begins down the rows and goes on along them: one stage or two, one branch.
 *
 *     rows of the plane, in place ── stage ──► between ── border ── stage ──► result
 *
 * The first stage reads columns of the plane only, whose rows need no copy if their type is `real`:
 * those above and below it are the rows that the border's map says. What stands left and right of
 * the rows between is copied from them, as it would be from the image. */
typedef struct {
    stage_t down; /* the first stage, its places the numbers of rows */
    blocks_t blocks;
    real *work, *between, *out, *loaded, *constant;
    ptrdiff_t kept, end;     /* rows that `loaded` holds at most; the first that it has not had */
    ptrdiff_t first, n;      /* elements of a row of the plane that the tile reads */
    ptrdiff_t before, after; /* and of the rows between that lie beyond the plane */
    const real **rows;
    ptrdiff_t *places;
    int32_t *map;
} sweep_t;

/* Up to 16 rows between, whose 64 KB a second-level cache holds beside what they are made of. */
static ptrdiff_t sweep_rows(const chain_t *c) {
    const ptrdiff_t most = 65536 / (c->pitch * REAL_BYTES) / 8 * 8, least = band_rows(c);
    return most < least ? least : most > 16 ? 16 : most;
}

/* Whether the rows that a first stage reads are those of the image. */
static int reads_in_place(const chain_t *c) {
    const stage_t *one = &c->stage[0][0];
    return c->source == (storage_t)OWN_TYPE && c->x_row % REAL_BYTES == 0 &&
           (one->box || !rows_collide(c, one->up + one->below + sweep_rows(c)));
}

static int begins_down(const chain_t *c) {
    const stage_t *one = &c->stage[0][0], *two = one + 1;
    if (c->branches != 1 || c->finish != CYCONV_EACH || one->left + one->right) return 0;
    return c->stages[0] == 1 || two->up + two->below == 0;
}

static ptrdiff_t divide_sweep(const chain_t *c, sweep_t *s, real *scratch) {
    const stage_t *one = &c->stage[0][0];
    const ptrdiff_t band = sweep_rows(c);
    ptrdiff_t used = 0;
    s->down = *one;
    s->kept = one->up + one->below + band;
    s->work = some_rows(c, work_rows(c), scratch, &used);
    s->between = some_rows(c, band, scratch, &used), s->out = some_rows(c, band, scratch, &used);
    s->constant = some_rows(c, 1, scratch, &used);
    s->loaded = some_rows(c, reads_in_place(c) ? 0 : s->kept, scratch, &used);
    s->rows = some_bytes(s->kept, sizeof(real *), scratch, &used);
    s->places = some_bytes(2 * one->terms, sizeof(ptrdiff_t), scratch, &used);
    s->map = some_bytes(c->pitch, sizeof(int32_t), scratch, &used);
    keep_blocks(c, one, 0, &s->blocks, scratch, &used);
    return used;
}

/* Where the rows [row, end) of the plane are; those in other types are loaded once. */
static void find_rows(const chain_t *c, sweep_t *s, const char *x, ptrdiff_t row, ptrdiff_t end) {
    const int in_place = reads_in_place(c);
    for (ptrdiff_t r = row; r < end; r++) {
        const ptrdiff_t source = border_source(c->row_border, r, c->rows);
        const char *cells = x + source * c->x_row + s->first * storage_size(c->source);
        real *copy = s->loaded + (r % s->kept + s->kept) % s->kept * c->pitch;
        if (source >= 0 && in_place) {
            s->rows[r - row] = (const real *)cells;
            continue;
        }
        s->rows[r - row] = source < 0 ? s->constant : copy;
        if (source >= 0 && r >= s->end) load_cells(c->source, cells, s->n, copy);
    }
    s->end = end;
}

static void run_down(sweep_t *s, ptrdiff_t row, ptrdiff_t rows, real *out, ptrdiff_t pitch) {
    if (s->down.box)
        box_down(&s->down, &s->blocks, s->rows, row, rows, s->n, out, pitch);
    else
        sum_any_rows(&s->down, 1, s->rows, 0, rows, s->n, out, pitch);
}

/* What lies beyond the plane, in a row between. */
static void extend_row(const chain_t *c, const sweep_t *s, real *row) {
    real *end = row + s->before + s->n;
    const real constant = (real)c->constant;
    for (ptrdiff_t j = 0; j < s->before; j++) row[j] = s->map[j] < 0 ? constant : row[s->map[j]];
    for (ptrdiff_t j = 0; j < s->after; j++) {
        const int32_t from = s->map[s->before + j];
        end[j] = from < 0 ? constant : row[from];
    }
}

/* One stage, its rows stored at `y`. */
static void sweep_one(const chain_t *c, sweep_t *s, const area_t *band, char *y) {
    const ptrdiff_t rows = band->row1 - band->row0, row = band->row0 - s->down.up;
    if (writes_result(c)) {
        run_down(s, row, rows, (real *)y, c->y_row / REAL_BYTES);
        return;
    }
    run_down(s, row, rows, s->out, c->pitch);
    for (ptrdiff_t r = 0; r < rows; r++)
        store_cells(c->target, c->saturate, s->out + r * c->pitch, s->n, y + r * c->y_row);
}

/* A tile by such a chain; 0 where it is done by none: it needs cells of the plane that it does not
 * hold, or less than a vector of them is there. */
static int sweep_tile(const chain_t *c, const char *x, char *y, const area_t *tile, real *scratch) {
    const stage_t *one = &c->stage[0][0], *two = c->stages[0] > 1 ? one + 1 : NULL;
    const ptrdiff_t step = c->step, band_most = sweep_rows(c);
    area_t across = *tile, band = *tile;
    sweep_t s;
    divide_sweep(c, &s, scratch);
    if (two) across.column0 -= two->left, across.column1 += two->right;
    const ptrdiff_t first = across.column0 > 0 ? across.column0 : 0;
    const ptrdiff_t last = across.column1 < c->columns ? across.column1 : c->columns;
    s.first = first * step, s.n = (last - first) * step;
    s.before = (first - across.column0) * step, s.after = (across.column1 - last) * step;
    if (s.n < LANES) return 0;
    map_border(c, &across, s.map);
    for (ptrdiff_t j = 0; j < s.before + s.after; j++)
        if (s.map[j] < 0 && s.map[j] != INT32_MIN) return 0;
    for (ptrdiff_t t = 0; t < one->terms; t++) {
        s.places[t] = one->at[t] / c->pitch;
        s.places[one->terms + t] = one->pairs ? one->mirrored[t] / c->pitch : 0;
    }
    s.down.at = s.places, s.down.mirrored = s.places + one->terms;
    for (ptrdiff_t j = 0; j < s.n; j++) s.constant[j] = (real)c->constant;
    s.end = tile->row0 - one->up;
    for (; band.row0 < tile->row1; band.row0 = band.row1) {
        band.row1 = band.row0 + band_most < tile->row1 ? band.row0 + band_most : tile->row1;
        const ptrdiff_t rows = band.row1 - band.row0;
        char *to = y + band.row0 * c->y_row + tile->column0 * step * storage_size(c->target);
        find_rows(c, &s, x, band.row0 - one->up, band.row1 + one->below);
        if (!two) {
            sweep_one(c, &s, &band, to);
            continue;
        }
        run_down(&s, band.row0 - one->up, rows, s.between + s.before, c->pitch);
        for (ptrdiff_t r = 0; r < rows; r++) {
            real *row = s.between + r * c->pitch;
            rounded_cells(c->between, c->saturate, row + s.before, s.n, s.work);
            extend_row(c, &s, row);
        }
        run_last(c, two, NULL, s.between, &band, (tile->column1 - tile->column0) * step, s.work,
                 s.out, to);
    }
    return 1;
}
