/* SPDX-License-Identifier: MIT */
/*
 * Paths are made absolute, so that the library finds the files from wherever it runs.
 */
#include "planner/draft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "planner/order.h"
#include "planner/outfile.h"
#include "planner/rank.h"
#include "planner/stay.h"
#include "runtime/fields.h"
#include "runtime/util.h"

struct draft {
    struct strategy_case *c;
    struct planfile *plan;
    const struct source **sources; /* of the plan's files */
    char *error;
    size_t error_size;
};

const struct strategy_result *draft_choose(const struct strategies *strategies)
{
    const struct strategy_result *best = NULL;

    for (size_t i = 0; i < strategies->n; i++) {
        const struct strategy_result *way = &strategies->list[i];

        if (way->fits && way->kind == STRATEGY_OURS && strncmp(way->name, "swap", 4) != 0 &&
            (!best || way->high < best->high))
            best = way;
    }
    return best;
}

static int take_digest(struct draft *d, const struct source *source, struct planfile_file *file)
{
    size_t size = min_u64(source->bytes, PLANFILE_DIGEST);
    uint8_t *head = malloc(size + 1);
    int r = head ? source_read(source, 0, head, size) : -ENOMEM;

    if (!r)
        file->digest = planfile_digest(head, size);
    else
        source_say(d->error, d->error_size, source->path, strerror(-r));
    free(head);
    return r;
}

/* The number of a tensor's file in the plan. */
static int take_file(struct draft *d, const struct source *source, uint32_t *out)
{
    struct planfile_file *file;

    for (*out = 0; *out < d->plan->n_files; ++*out) {
        if (d->sources[*out] == source)
            return 0;
    }
    if (*out == PLANFILE_FILES_MAX)
        return -EFBIG;
    file = &d->plan->files[*out];
    file->path = realpath(source->path, NULL);
    if (!file->path)
        file->path = strdup(source->path);
    if (!file->path)
        return -ENOMEM;
    file->bytes = source->bytes;
    d->sources[d->plan->n_files++] = source;
    return take_digest(d, source, file);
}

static int take_fingerprint(struct draft *d, const struct tensor *tensor, uint64_t *out)
{
    uint8_t head[PLANFILE_HEAD];
    size_t size = min_u64(tensor->bytes, sizeof(head));
    int r = source_read(tensor->source, tensor->offset, head, size);

    if (r)
        source_say(d->error, d->error_size, tensor->source->path, strerror(-r));
    else
        *out = planfile_fingerprint(head, size);
    return r;
}

/* Up to the first NUL, which texts of plans do not have, and not endless. */
static char *copy_name(struct text name)
{
    return strndup(name.data ? name.data : "", min_u64(name.size, FIELDS_TEXT_MAX));
}

static int take_tensor(struct draft *d, size_t piece)
{
    static const enum planfile_tier tiers[] = {
        [PLACE_DEVICE] = PLANFILE_DEVICE,
        [PLACE_STREAM] = PLANFILE_STREAM,
        [PLACE_INPLACE] = PLANFILE_IN_PLACE,
    };
    const struct tensor *from = d->c->subject->tensors[piece];
    const struct place_piece *place = &d->c->subject->pieces[piece];
    struct planfile_tensor *to = &d->plan->tensors[d->plan->n_tensors];
    int r;

    if (!from->bytes)
        return 0;
    *to = (struct planfile_tensor){
        .offset = from->offset,
        .bytes = from->bytes,
        .tier = tiers[place->tier],
        .pinned = place->pin != PLACE_ANYWHERE,
        .resident = place->resident,
        .name = copy_name(from->name),
    };
    if (!to->name)
        return -ENOMEM;
    d->plan->weights += to->bytes;
    d->plan->n_tensors++;
    r = take_file(d, from->source, &to->file);
    return r ? r : take_fingerprint(d, from, &to->fingerprint);
}

/* A tensor's place in the order of a phase. */
struct place_in_phase {
    size_t piece;
    size_t group; /* pieces of one block, which stand together */
    int rank;
};

/* The subject has blocks in order, with what comes before and behind; within one, rank counts. */
static int by_rank(const void *left, const void *right)
{
    const struct place_in_phase *a = left;
    const struct place_in_phase *b = right;

    if (a->group == b->group && a->rank != b->rank)
        return a->rank - b->rank;
    return a->piece < b->piece ? -1 : a->piece > b->piece;
}

static int take_phase(struct draft *d, size_t index)
{
    const struct subject *s = d->c->subject;
    const struct subject_phase *from = &s->phases[index];
    struct planfile_phase *to = &d->plan->phases[d->plan->n_phases];
    struct place_in_phase *order = calloc(from->n + 1, sizeof(*order));
    struct order before = {.section = 0};
    size_t group = 0;
    int r = 0;

    *to = (struct planfile_phase){
        .name = strdup(from->name), .is_main = index == s->main_phase, .first = d->plan->n_tensors};
    if (!order || !to->name) {
        free(to->name);
        free(order);
        return -ENOMEM;
    }
    d->plan->n_phases++;
    for (size_t i = 0; i < from->n; i++) {
        const struct tensor *tensor = s->tensors[from->first + i];
        struct order at = order_of(tensor, i);

        group += at.section != 1 || order_begins_block(&at, i ? &before : NULL);
        order[i] = (struct place_in_phase){from->first + i, group, rank_of(tensor->name)};
        before = at;
    }
    qsort(order, from->n, sizeof(*order), by_rank);
    for (size_t i = 0; i < from->n && !r; i++)
        r = take_tensor(d, order[i].piece);
    to->n = d->plan->n_tensors - to->first;
    if (!to->n) {
        free(to->name);
        d->plan->n_phases--;
    }
    free(order);
    return r;
}

static int fill(struct draft *d, const struct strategy_result *way, struct text name)
{
    const struct subject *s = d->c->subject;
    const struct machine *m = &d->c->machine;
    const struct term *buffers = &s->phases[s->main_phase].compute;
    struct planfile *plan = d->plan;
    int r = 0;

    *plan = (struct planfile){
        .model = copy_name(name),
        .card = strdup(m->card),
        .device = m->device,
        .host = m->pinned,
        .chunk = strategy_chunk(d->c),
        .cache = s->demand.cache.bytes + s->demand.state.bytes,
        .buffers = buffers->bytes,
        .driver = m->driver,
        .peak = way->peak,
        .error = way->peak_error,
    };
    plan->files = calloc(s->n_pieces + 1, sizeof(*plan->files));
    plan->tensors = calloc(s->n_pieces + 1, sizeof(*plan->tensors));
    if (!plan->model || !plan->card || !plan->files || !plan->tensors)
        return -ENOMEM;
    for (size_t i = 0; i < s->n_phases && !r; i++)
        r = take_phase(d, i);
    return r;
}

int draft_make(struct strategy_case *c, const struct strategy_result *way, struct text name,
               const struct roll *functions, char *error, size_t error_size, struct planfile **out)
{
    struct draft d = {.c = c, .error = error, .error_size = error_size};
    int r;

    if (!c->subject->tensors || !c->subject->n_pieces) {
        snprintf(error, error_size, "there is no file to make a plan of");
        return -EINVAL;
    }
    snprintf(error, error_size, "out of memory");
    r = stay_choose(c, way->name);
    d.plan = calloc(1, sizeof(*d.plan));
    d.sources = calloc(c->subject->n_pieces + 1, sizeof(*d.sources));
    if (!r)
        r = d.plan && d.sources ? fill(&d, way, name) : -ENOMEM;
    if (!r && functions)
        r = roll_add_all(&d.plan->functions, functions);
    free(d.sources);
    if (r)
        planfile_free(d.plan);
    else
        *out = d.plan;
    return r;
}

int draft_write(const struct planfile *plan, const char *path)
{
    struct outfile file;
    int r = outfile_open(path, 0600, &file);

    if (r)
        return r;
    planfile_print(plan, file.stream);
    return outfile_end(&file, 0);
}
