/* SPDX-License-Identifier: MIT */
#include "planner/layers.h"

#include <stdbool.h>
#include <string.h>

#include "planner/order.h"
#include "runtime/util.h"

enum {
    ROWS = 32,
    CELLS = 256, /* of a row; of more layers the first are shown */
    CELLS_IN_LINE = 64,
    TENTHS = 10,
};

struct bytes {
    uint64_t stays, streamed, in_place;
};

/* A stack of layers, or what is before or behind them, of a phase. */
struct row {
    const struct subject_phase *phase;
    int section;
    struct text label;
    struct bytes all, layer;
    uint64_t block; /* the layer that is being added up */
    char cells[CELLS + 1];
    size_t n;
};

static struct bytes bytes_of(const struct place_piece *piece)
{
    struct bytes bytes = {.stays = piece->resident};

    *(piece->tier == PLACE_INPLACE ? &bytes.in_place : &bytes.streamed) =
        piece->bytes - piece->resident;
    return bytes;
}

static void add(struct bytes *to, const struct bytes *bytes)
{
    to->stays += bytes->stays;
    to->streamed += bytes->streamed;
    to->in_place += bytes->in_place;
}

static char cell_of(const struct bytes *b)
{
    uint64_t all = b->stays + b->streamed + b->in_place;

    if (b->stays == all)
        return '#';
    if (b->in_place > b->streamed)
        return 2 * b->stays < all ? '.' : ':';
    return (char)('0' + (double)b->stays / (double)all * TENTHS);
}

/* The layer is complete. */
static void end_layer(struct row *row)
{
    uint64_t bytes = row->layer.stays + row->layer.streamed + row->layer.in_place;

    if (bytes && row->n < CELLS)
        row->cells[row->n++] = cell_of(&row->layer);
    row->layer = (struct bytes){0};
}

static bool is_same(const struct row *row, const struct subject_phase *phase,
                    const struct order *order)
{
    return row->phase == phase && row->section == order->section &&
           text_compare(row->label, order->label) == 0;
}

/* The row of that stack; the last for whatever there are too many of. */
static struct row *row_of(struct row *rows, size_t *n, const struct subject_phase *phase,
                          const struct order *order)
{
    for (size_t i = 0; i < *n; i++)
        if (is_same(&rows[i], phase, order))
            return &rows[i];
    if (*n == ROWS)
        return &rows[ROWS - 1];
    rows[*n] = (struct row){.phase = phase, .section = order->section, .label = order->label};
    return &rows[(*n)++];
}

/* Where a piece is read; two pieces make a layer that is only imagined. */
static struct order place_of(const struct subject *s, size_t piece)
{
    static const struct text imagined = {"layers", 6};

    if (s->tensors)
        return order_of(s->tensors[piece], piece);
    return (struct order){.section = 1, .label = imagined, .block = piece / 2};
}

static void print_row(const struct subject *s, const struct row *row, FILE *out)
{
    static const char *const sections[] = {"before layers", NULL, "behind layers"};
    char label[64], name[96], stays[32], streamed[32], in_place[32];

    text_escape(row->label.data, row->label.size, label, sizeof(label));
    snprintf(name, sizeof(name), "%s%s%s", s->n_phases > 1 ? row->phase->name : "",
             s->n_phases > 1 ? " " : "", row->section == 1 ? label : sections[row->section]);
    fprintf(out, "  %-30s %10s stay", name, text_size(row->all.stays, stays));
    if (row->all.streamed)
        fprintf(out, ", %s streamed", text_size(row->all.streamed, streamed));
    if (row->all.in_place)
        fprintf(out, ", %s read in place", text_size(row->all.in_place, in_place));
    for (size_t i = 0; i < row->n; i += CELLS_IN_LINE)
        fprintf(out, "\n    %.*s", CELLS_IN_LINE, row->cells + i);
    fputc('\n', out);
}

void layers_print(const struct subject *s, const char *strategy, FILE *out)
{
    static struct row rows[ROWS];
    size_t n = 0;

    for (size_t i = 0; i < s->n_phases; i++) {
        const struct subject_phase *phase = &s->phases[i];

        for (size_t k = phase->first; k < phase->first + phase->n; k++) {
            struct order order = place_of(s, k);
            struct row *row = row_of(rows, &n, phase, &order);
            struct bytes bytes = bytes_of(&s->pieces[k]);

            if (order.block != row->block)
                end_layer(row);
            row->block = order.block;
            add(&row->layer, &bytes);
            add(&row->all, &bytes);
        }
    }
    if (!n)
        return;
    fprintf(
        out,
        "\nLayers           as %s has them: # stays on the device, 0-9 streamed but for so many\n"
        "                 tenths, . read in place, : the same but for half of it or more\n",
        strategy);
    for (size_t i = 0; i < n; i++) {
        end_layer(&rows[i]);
        print_row(s, &rows[i], out);
    }
}
