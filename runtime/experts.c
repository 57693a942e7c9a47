/* SPDX-License-Identifier: MIT */
/*
 * A record is a place in pinned memory and two events. Launches take them in turn, and when none is
 * free are not looked at: the host may be many laps ahead of the device.
 *
 * What a launch is given is read by a kernel of ours in its stream, so what it reads must be
 * memory: paged ranges are known, and of any other address the driver is asked. Memory that was
 * last seen unchanged is left out: it is weights.
 */
#include "runtime/experts.h"

#include <stdlib.h>
#include <string.h>
#include "runtime/prepare.h"

enum {
    RECORDS = 1024,
    GROUPS_MOST = 4096, /* at any time */
    SOURCE_BYTES = PEEK_BYTES / PEEK_SOURCES,
    MAPPED_LEAST = 64 << 10, /* bytes of a page, at least */
    BUSY_LAPS = 8,           /* that a swap waits for the device to be idle, */
    REFUSED_LAPS = 32,       /* and when it was refused */
};

static void free_stacks(struct experts_group *group)
{
    for (uint32_t i = 0; i < INDICES_STACKS; i++) {
        free(group->stacks[i].away);
        free(group->stacks[i].read);
    }
}

static void forget_groups(struct experts *x)
{
    struct experts_group *group;
    struct experts_group *next;

    HASH_ITER(hh, x->groups, group, next)
    {
        HASH_DEL(x->groups, group);
        free_stacks(group);
        free(group);
    }
    for (struct experts_family *f = x->families; f; f = f->hh.next) {
        f->n_groups = 0;
        f->n_samples = 0;
        f->n_points = 0;
    }
}

static void forget_families(struct experts *x)
{
    struct experts_family *family;
    struct experts_family *next;

    HASH_ITER(hh, x->families, family, next)
    {
        HASH_DEL(x->families, family);
        free(family->samples);
        free(family->points);
        free(family);
    }
}

static void free_records(struct experts *x, const struct driver *drv, bool alive)
{
    for (uint32_t i = 0; i < x->n_records; i++) {
        if (x->records[i].begin && alive)
            (void)drv->cuEventDestroy_v2(x->records[i].begin);
        if (x->records[i].end && alive)
            (void)drv->cuEventDestroy_v2(x->records[i].end);
    }
    free(x->records);
    x->records = NULL;
    x->n_records = 0;
}

void experts_end(struct pager *pager, const struct driver *drv, bool alive)
{
    struct experts *x = &pager->streaming->experts;

    (void)experts_drop_shadows(pager, drv);
    if (!x->on)
        return;
    x->on = false;
    free_records(x, drv, alive);
    peek_fini(&x->peek, drv, alive);
    forget_groups(x);
}

static bool make_record(struct experts_record *record, const struct driver *drv)
{
    if (drv->cuEventCreate(&record->begin, CU_EVENT_DEFAULT) != CUDA_SUCCESS)
        return false;
    if (drv->cuEventCreate(&record->end, CU_EVENT_DEFAULT) == CUDA_SUCCESS)
        return true;
    (void)drv->cuEventDestroy_v2(record->begin);
    return false;
}

/* A first launch makes them: most plans have nothing to look at. */
static bool make_records(struct experts *x, const struct driver *drv)
{
    if (x->records)
        return x->n_records > 0;
    x->records = calloc(RECORDS, sizeof(*x->records));
    if (!x->records || peek_init(&x->peek, drv, RECORDS))
        return false;
    while (x->n_records < RECORDS && make_record(&x->records[x->n_records], drv))
        x->n_records++;
    return x->n_records > 0;
}

void experts_begin(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    struct experts *x = &s->experts;

    x->on = drv->cuEventElapsedTime && drv->cuPointerGetAttribute;
    x->laps = s->pass.laps;
    x->not_before = 0;
    x->last = NULL;
    if (x->unloads != layout_unloads())
        forget_families(x);
    x->unloads = layout_unloads();
}

/* Part of a buffer that is only read, and little of it. */
static bool is_stack(const struct pager *pager, const struct extent *extent)
{
    const struct piece *piece;

    if (extent->range->pager != pager || extent->bytes < residency.space.slot_bytes)
        return false;
    piece = piece_of(pager->streaming, &extent->range->blocks[extent_first(extent)]);
    return piece && piece->in_place && !piece->changed && !piece->beside;
}

static uint32_t find_stacks(const struct pager *pager, const struct launch *launch,
                            const struct extents *extents, struct experts_key *key)
{
    uint32_t n = 0;

    *key = (struct experts_key){.function = (uintptr_t)launch->function};
    for (size_t i = 0; i < extents->n && n < INDICES_STACKS; i++) {
        const struct extent *extent = &extents->list[i];

        if (!is_stack(pager, extent))
            continue;
        key->stacks[n].range = extent->range->id;
        key->stacks[n].at = extent->address - extent->range->base;
        key->stacks[n++].bytes = extent->bytes;
    }
    return n;
}

static struct experts_family *family_of(struct experts *x, uint64_t function)
{
    struct experts_family *family;

    HASH_FIND(hh, x->families, &function, sizeof(function), family);
    if (family)
        return family;
    family = calloc(1, sizeof(*family));
    if (!family)
        return NULL;
    family->function = function;
    HASH_ADD(hh, x->families, function, sizeof(family->function), family);
    if (!family->hh.tbl) {
        free(family);
        return NULL;
    }
    return family;
}

static bool make_stack(struct experts_group *group, uint32_t i, struct range *range)
{
    struct experts_stack *stack = &group->stacks[i];
    uint64_t at = group->key.stacks[i].at;
    uint64_t block_bytes = (uint64_t)1 << residency.slot_shift;

    stack->range = range;
    stack->first = (uint32_t)(at >> residency.slot_shift);
    stack->n_blocks = (uint32_t)((at + group->key.stacks[i].bytes - 1) >> residency.slot_shift) -
                      stack->first + 1;
    stack->away = calloc(stack->n_blocks, sizeof(*stack->away));
    stack->read = calloc(stack->n_blocks, sizeof(*stack->read));
    group->shape.stacks[i] = (struct indices_stack){
        .bytes = group->key.stacks[i].bytes,
        .lead = at % block_bytes,
        .block_bytes = block_bytes,
        .away = stack->away,
    };
    return stack->away && stack->read;
}

static void see_what_is_away(struct experts_group *group)
{
    for (uint32_t i = 0; i < group->shape.n_stacks; i++) {
        struct experts_stack *stack = &group->stacks[i];

        for (uint32_t k = 0; k < stack->n_blocks && experts_is_there(group, i); k++)
            stack->away[k] = block_tier(&stack->range->blocks[stack->first + k]) != TIER_DEVICE;
    }
}

static struct experts_group *group_new(struct streaming *s, const struct experts_key *key,
                                       uint32_t n)
{
    struct experts_group *group = calloc(1, sizeof(*group));
    bool made = group != NULL;

    if (!group)
        return NULL;
    group->key = *key;
    group->shape.n_stacks = n;
    group->family = family_of(&s->experts, key->function);
    for (uint32_t i = 0; i < n && made; i++) {
        struct range *range = pieces_range(s, key->stacks[i].range);

        made = range && make_stack(group, i, range);
    }
    if (!made || !group->family) {
        free_stacks(group);
        free(group);
        return NULL;
    }
    HASH_ADD(hh, s->experts.groups, key, sizeof(group->key), group);
    if (!group->hh.tbl) {
        free_stacks(group);
        free(group);
        return NULL;
    }
    group->number = group->family->n_groups++;
    see_what_is_away(group);
    return group;
}

static struct experts_group *group_of(struct streaming *s, const struct experts_key *key,
                                      uint32_t n)
{
    struct experts_group *group;

    HASH_FIND(hh, s->experts.groups, key, sizeof(*key), group);
    return group || HASH_COUNT(s->experts.groups) >= GROUPS_MOST ? group : group_new(s, key, n);
}

static struct experts_record *record_take(struct experts *x, struct experts_group *group)
{
    for (uint32_t i = 0; i < x->n_records; i++) {
        struct experts_record *record = &x->records[x->next];

        x->next = (x->next + 1) % x->n_records;
        if (record->group)
            continue;
        record->group = group;
        record->number = ++x->number ? x->number : ++x->number;
        record->n = 0;
        atomic_store(&record->lost, false);
        return record;
    }
    return NULL;
}

/* Looking for what a launch may find its numbers in. */
struct sources {
    const struct pager *pager;
    const struct driver *drv;
    const struct extents *extents;
    const struct indices_rule *rule; /* NULL: everywhere */
    struct experts_record *record;
    uint64_t bytes;
};

static uint64_t paged_bytes(const struct sources *sources, uint64_t address)
{
    for (size_t i = 0; i < sources->extents->n; i++) {
        const struct extent *extent = &sources->extents->list[i];
        const struct piece *piece;

        if (extent->address != address || extent->range->pager != sources->pager)
            continue;
        piece = piece_of(sources->pager->streaming, &extent->range->blocks[extent_first(extent)]);
        return piece && !piece->changed && !piece->beside ? 0 : extent->bytes;
    }
    return 0;
}

static bool ask(const struct driver *drv, CUpointer_attribute what, uint64_t address, void *out)
{
    return drv->cuPointerGetAttribute(out, what, address) == CUDA_SUCCESS;
}

/* Bytes of the driver's own memory from there on, which may be mapped page by page; 0 for what is
 * none, or elsewhere. */
static uint64_t driver_bytes(const struct sources *sources, uint64_t address)
{
    CUdeviceptr base = 0;
    size_t bytes = 0;
    unsigned int type = 0;
    unsigned int managed = 0;
    unsigned int mapped = 0;
    int device = -1;

    if (!ask(sources->drv, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address, &type) ||
        type != CU_MEMORYTYPE_DEVICE ||
        !ask(sources->drv, CU_POINTER_ATTRIBUTE_IS_MANAGED, address, &managed) || managed ||
        !ask(sources->drv, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address, &device) ||
        device != sources->pager->device ||
        !ask(sources->drv, CU_POINTER_ATTRIBUTE_MAPPED, address, &mapped) || !mapped ||
        !ask(sources->drv, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, address, &base) ||
        !ask(sources->drv, CU_POINTER_ATTRIBUTE_RANGE_SIZE, address, &bytes))
        return 0;
    if (address - base >= bytes)
        return 0;
    return min_u64(base + bytes, align_up(address + 1, MAPPED_LEAST)) - address;
}

static void note_source(void *context, const struct layout_word *word, uint64_t value)
{
    struct sources *sources = context;
    struct experts_record *record = sources->record;
    uint64_t most =
        sources->rule ? align_up(sources->rule->count * sources->rule->width, 8) : SOURCE_BYTES;
    uint64_t bytes;

    if ((sources->rule && sources->rule->word != word->offset) || value % 4 ||
        record->n == INDICES_SOURCES || sources->bytes + most > PEEK_BYTES)
        return;
    bytes = residency_block(value) ? paged_bytes(sources, value) : driver_bytes(sources, value);
    bytes = align_down(min_u64(bytes, most), 8);
    if (!bytes)
        return;
    record->sources[record->n] =
        (struct indices_source){word->offset, (uint16_t)bytes, (uint16_t)sources->bytes};
    record->from[record->n++] = (struct peek_source){value, bytes, sources->bytes};
    sources->bytes += bytes;
}

static bool is_wanted(const struct experts_group *group)
{
    switch (group->family->state) {
    case EXPERTS_LEARNING:
        return group->number < EXPERTS_LEARNED_MAX;
    case EXPERTS_KNOWN:
        return true;
    case EXPERTS_HOPELESS:
        break;
    }
    return false;
}

static struct experts_record *sample(struct pager *pager, const struct driver *drv,
                                     const struct launch *launch, const struct extents *extents)
{
    struct experts *x = &pager->streaming->experts;
    struct sources sources = {.pager = pager, .drv = drv, .extents = extents};
    struct experts_group *group;
    struct experts_key key;
    uint32_t n = find_stacks(pager, launch, extents, &key);

    group = n ? group_of(pager->streaming, &key, n) : NULL;
    if (!group || !is_wanted(group) || !make_records(x, drv))
        return NULL;
    sources.rule = group->family->state == EXPERTS_KNOWN ? &group->family->rule : NULL;
    sources.record = record_take(x, group);
    if (!sources.record)
        return NULL;
    (void)layout_scan(launch->layout, launch->kernel_params, launch->extra, note_source, &sources);
    if (sources.record->n &&
        drv->cuEventRecord(sources.record->begin, launch->stream) == CUDA_SUCCESS)
        return sources.record;
    sources.record->group = NULL;
    return NULL;
}

static float time_of(const struct driver *drv, const struct experts_record *record)
{
    float ms = 0;

    return drv->cuEventElapsedTime(&ms, record->begin, record->end) == CUDA_SUCCESS ? ms : -1;
}

static void fill_sample(const struct experts *x, const struct driver *drv,
                        const struct experts_record *record, struct indices_sample *out)
{
    out->group = record->group->number;
    out->ms = time_of(drv, record);
    out->n_sources = record->n;
    memcpy(out->sources, record->sources, sizeof(out->sources));
    memcpy(out->data, peek_record(&x->peek, (uint32_t)(record - x->records)), sizeof(out->data));
}

static void look_at(struct experts *x, const struct driver *drv,
                    const struct experts_record *record)
{
    struct indices_sample sample;

    fill_sample(x, drv, record, &sample);
    experts_learn(x, record->group, &sample);
}

static void look_at_all(struct experts *x, const struct driver *drv)
{
    for (uint32_t i = 0; i < x->n_records; i++) {
        struct experts_record *record = &x->records[i];
        bool lost = atomic_load(&record->lost);

        if (!record->group || (!lost && !peek_is_done(&x->peek, i, record->number)))
            continue;
        if (!lost)
            look_at(x, drv, record);
        record->group = NULL;
    }
}

static bool something_is_known(const struct experts *x)
{
    for (const struct experts_family *f = x->families; f; f = f->hh.next) {
        if (f->state == EXPERTS_KNOWN && f->n_groups)
            return true;
    }
    return false;
}

/* Whether the device is done with the last launch that was looked at: a safe point costs what it
 * still has to do. */
static bool is_idle(const struct experts *x)
{
    const struct experts_record *last = x->last;

    return !last || !last->group || atomic_load(&last->lost) ||
           peek_is_done(&x->peek, (uint32_t)(last - x->records), last->number);
}

static void begin_lap(struct pager *pager, const struct driver *drv)
{
    struct experts *x = &pager->streaming->experts;
    uint64_t laps = pager->streaming->pass.laps;

    if (!is_idle(x) && laps < x->laps + BUSY_LAPS)
        return;
    x->laps = laps;
    look_at_all(x, drv);
    if (!something_is_known(x) || laps < x->not_before)
        return;
    if (!experts_swap(pager, drv))
        x->not_before = laps + REFUSED_LAPS;
    for (struct experts_group *g = x->groups; g; g = g->hh.next)
        see_what_is_away(g);
}

void experts_launch(struct pager *pager, const struct driver *drv, const struct launch *launch,
                    const struct extents *extents, struct redirect **redirect)
{
    struct streaming *s = pager->streaming;
    struct experts_record *record;

    if (!s->experts.on)
        return;
    if (s->pass.laps != s->experts.laps)
        begin_lap(pager, drv);
    record = sample(pager, drv, launch, extents);
    if (!record)
        return;
    if (!*redirect)
        *redirect = redirect_nowhere(launch);
    if (!*redirect) {
        record->group = NULL;
        return;
    }
    (*redirect)->stream = launch->stream;
    (*redirect)->experts = &s->experts;
    (*redirect)->record = record;
    s->experts.last = record;
}

void experts_behind(const struct driver *drv, struct redirect *redirect)
{
    const struct experts *x = redirect->experts;
    struct experts_record *record = redirect->record;
    uint32_t index;

    if (!record)
        return;
    index = (uint32_t)(record - x->records);
    if (drv->cuEventRecord(record->end, redirect->stream) != CUDA_SUCCESS ||
        peek_launch(&x->peek, drv, redirect->stream, index, record->number, record->from,
                    record->n))
        atomic_store(&record->lost, true);
}
