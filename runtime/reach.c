/* SPDX-License-Identifier: MIT */
/*
 * Nothing here is certain, and need not be: what is found too much costs reading the disk, what is
 * found too little is what launches seem to do on top of what their pointers say.
 *
 * A number is judged by place: the same word of a function's parameters, with the same pointer.
 * Sizes of buffers pass for ways to the next one until the last buffer of an allocation shows that
 * they are none.
 *
 * Whether a number is a size, so that all up to where it leads is touched, or an offset, so that it
 * is not, cannot be seen. It may be an offset only if it has been negative, or if another number,
 * not above it, may be the size of what lies there; then what lies on the way is done without where
 * memory has no room for it.
 */
#include "runtime/reach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/card.h"
#include "runtime/streaming.h"
#include "runtime/table.h"

enum {
    POINTERS = 16,    /* words of the parameters that are taken for one */
    CELLS = 64,       /* of 4 bytes: numbers further behind are not looked at */
    LOOKS = 4,        /* launches of a function that are looked into */
    SIGHT = 64 << 10, /* bytes of a buffer */
    FUNCTIONS_MAX = 1 << 14,
    ELEMENT_MAX = 8, /* bytes, of what a number may count */
};

enum width {
    WIDTH_4,
    WIDTH_8,
    WIDTHS,
};

enum way {
    WAY_FORTH,
    WAY_BACK,
    WAYS,
};

/* A bit for each cell. */
struct judged {
    uint64_t no_way;   /* it has led out of the allocation */
    uint64_t no_begin; /* or to its very end: nothing begins there, but something may end */
    uint64_t no_size;  /* of both ways, with those forth: it was negative, and has led somewhere */
};

struct function {
    uint64_t handle;
    struct judged judged[POINTERS][WIDTHS][WAYS];
    uint16_t no_end[POINTERS]; /* a bit for each pointer that was seen to lie before this one */
    uint64_t expected;         /* number of the expectation that it was last looked at for */
    uint32_t looks;
    bool follows; /* addresses were found in its buffers */
    UT_hash_handle hh;
};

static struct {
    struct function *functions;
    uintptr_t unloads; /* layout_unloads() that they are good for */
    uint64_t expected; /* times that addresses have come into memory */
    uint64_t words[SIGHT / sizeof(uint64_t)];
} known;

void reach_forget(void)
{
    struct function *function;
    struct function *next;

    HASH_ITER(hh, known.functions, function, next)
    {
        HASH_DEL(known.functions, function);
        free(function);
    }
}

void reach_expect_addresses(void)
{
    known.expected++;
}

static struct function *function_of(const struct launch *launch)
{
    uint64_t handle = (uintptr_t)launch->function;
    struct function *found;

    if (known.unloads != layout_unloads() || HASH_COUNT(known.functions) == FUNCTIONS_MAX)
        reach_forget();
    known.unloads = layout_unloads();
    HASH_FIND(hh, known.functions, &handle, sizeof(handle), found);
    if (found)
        return found;
    found = calloc(1, sizeof(*found));
    if (!found)
        return NULL;
    found->handle = handle;
    HASH_ADD(hh, known.functions, handle, sizeof(found->handle), found);
    if (found->hh.tbl)
        return found;
    free(found);
    return NULL;
}

static void add(struct reaches *reaches, const struct reached_place *place)
{
    for (size_t i = 0; i < reaches->n; i++) {
        struct reached_place *other = &reaches->list[i];

        if (other->address != place->address || other->bytes != place->bytes)
            continue;
        other->optional &= place->optional;
        other->beyond |= place->beyond;
        return;
    }
    reaches->more |= reaches->n == REACHES_MAX;
    if (!reaches->more)
        reaches->list[reaches->n++] = *place;
}

/* The first bytes of a launch's parameters, packed. */
struct packed {
    uint8_t bytes[CELLS * 4];
    /* A bit for each cell: */
    uint64_t given; /* it is a parameter's, and no pointer to our memory, */
    uint64_t whole; /* of a parameter that is one number of 8 bytes, */
    uint64_t part;  /* or of one that is more than a number */
};

static void pack(const struct launch *launch, struct packed *out)
{
    const struct layout *layout = launch->layout;
    void *buffer = NULL;
    size_t bytes = 0;

    *out = (struct packed){.given = 0};
    if (launch->extra && layout_extra_buffer(launch->extra, &buffer, &bytes))
        return;
    for (uint32_t i = 0; i < layout->n_params; i++) {
        struct kernel_param param = layout->params[i];
        uint64_t end = min_u64(param.offset + param.bytes, sizeof(out->bytes));
        const char *from =
            buffer ? (const char *)buffer + param.offset : (const char *)launch->kernel_params[i];

        if (param.offset >= end || (buffer && end > bytes))
            continue;
        memcpy(out->bytes + param.offset, from, end - param.offset);
        for (uint64_t cell = (param.offset + 3u) / 4; cell < end / 4; cell++) {
            out->given |= (uint64_t)1 << cell;
            out->whole |= (uint64_t)(param.bytes == 8) << cell;
            out->part |= (uint64_t)(param.bytes > 8) << cell;
        }
    }
}

static void forget_pointers(const struct extents *extents, struct packed *packed)
{
    for (size_t i = 0; i < extents->n; i++) {
        uint32_t cell = extents->list[i].word->offset / 4;

        if (cell + 1 < CELLS)
            packed->given &= ~((uint64_t)3 << cell);
    }
}

struct number {
    int64_t value; /* never 0 */
    uint32_t cell;
    enum width width;
    bool part; /* of a parameter: it may as well be half of something else */
};

struct numbers {
    size_t n;
    struct number list[WIDTHS * CELLS];
};

static int64_t number_at(const struct packed *packed, enum width width, uint32_t cell)
{
    int64_t whole = 0;
    int32_t half = 0;

    if (!(packed->given >> cell & 1) || (width == WIDTH_4 && packed->whole >> cell & 1))
        return 0;
    if (width == WIDTH_4) {
        memcpy(&half, packed->bytes + 4 * cell, sizeof(half));
        return half;
    }
    if (cell % 2 == 0 && cell + 1 < CELLS && packed->given >> (cell + 1) & 1)
        memcpy(&whole, packed->bytes + 4 * cell, sizeof(whole));
    return whole;
}

static void list_numbers(const struct packed *packed, struct numbers *out)
{
    out->n = 0;
    for (enum width width = 0; width < WIDTHS; width++) {
        for (uint32_t cell = 0; cell < CELLS; cell++) {
            int64_t value = number_at(packed, width, cell);

            if (value && value != INT64_MIN)
                out->list[out->n++] = (struct number){value, cell, width, packed->part >> cell & 1};
        }
    }
}

static bool overlap(const struct number *a, const struct number *b)
{
    return a->cell < b->cell + (b->width == WIDTH_8 ? 2 : 1) &&
           b->cell < a->cell + (a->width == WIDTH_8 ? 2 : 1);
}

/* What is asked of one pointer. */
struct search {
    struct range *range;
    uint64_t from; /* both in bytes from its begin: where the pointer leads, */
    uint64_t end;  /* and where what is named there ends */
    const struct numbers *numbers;
    struct judged (*judged)[WAYS];
    struct reaches *reaches;
};

/* By what is known a buffer begins or ends there. */
static bool is_border(const struct range *range, uint64_t offset)
{
    return offset == range->bytes ||
           (offset < range->bytes && range_begins_at(range, range->base + offset));
}

/* What is read where a number has led to: as far as another may say. True if that is no more than
 * lies on the way, which then need not be read. */
static bool follow_sizes(const struct search *search, const struct number *offset, uint64_t to,
                         uint64_t way)
{
    const struct range *range = search->range;
    bool found = false;

    for (size_t i = 0; i < search->numbers->n; i++) {
        const struct number *size = &search->numbers->list[i];
        uint64_t bytes = (uint64_t)size->value;

        if (size->value < 0 || overlap(size, offset) || bytes > range->bytes ||
            !is_border(range, to + bytes))
            continue;
        found |= bytes <= way;
        add(search->reaches,
            &(struct reached_place){.range = search->range,
                                    .address = range->base + to,
                                    .bytes = bytes,
                                    .optional = bytes > way,
                                    .beyond = to < search->from || to + bytes > search->end});
    }
    return found;
}

static void add_way(const struct search *search, const struct number *number, uint64_t to,
                    bool may_begin)
{
    uint64_t no_size = search->judged[number->width][WAY_FORTH].no_size;
    CUdeviceptr base = search->range->base;
    uint64_t from = search->from;
    struct reached_place way = {
        .range = search->range,
        .address = base + min_u64(from, to),
        .bytes = max_u64(from, to) - min_u64(from, to),
        .beyond = to < from || to > search->end,
    };

    if (may_begin) {
        way.optional = follow_sizes(search, number, to, way.bytes) || no_size >> number->cell & 1;
        add(search->reaches,
            &(struct reached_place){.range = search->range, .address = base + to, .beyond = true});
    }
    add(search->reaches, &way);
}

/* A number that leads nowhere known may be the size of so much, or count all of the allocation. */
static void note_size(const struct search *search, uint64_t number)
{
    uint64_t whole = search->range->bytes;
    uint64_t bytes = number;

    for (uint64_t element = 2; element <= ELEMENT_MAX && !search->from; element *= 2)
        bytes = number == whole / element && whole % element == 0 ? whole : bytes;
    search->reaches->farthest = max_u64(search->reaches->farthest, bytes);
}

/* Where the number leads from the pointer, if it is anywhere. */
static void follow_number(const struct search *search, const struct number *number, enum way way)
{
    struct judged *judged = &search->judged[number->width][way];
    uint64_t step = way == WAY_FORTH ? (uint64_t)number->value : -(uint64_t)number->value;
    uint64_t to = search->from + step;
    uint64_t bit = (uint64_t)1 << number->cell;

    if (to > search->range->bytes) {
        judged->no_way |= bit;
        return;
    }
    if (to == search->range->bytes)
        judged->no_begin |= bit;
    if (judged->no_way & bit)
        return;
    if (is_border(search->range, to) && number->value < 0)
        search->judged[number->width][WAY_FORTH].no_size |= bit;
    if (is_border(search->range, to))
        add_way(search, number, to, !(judged->no_begin & bit));
    else if (way == WAY_FORTH && number->value > 0 && !number->part)
        note_size(search, step);
}

static size_t pointer_number(const struct launch *launch, const struct extent *extent)
{
    return (size_t)(extent->word - launch->layout->words);
}

/* A pointer further on in the same allocation may be where the buffer ends; hardly so when numbers
 * may say that. */
static void follow_pointers(const struct launch *launch, const struct extents *extents, size_t from,
                            struct function *function, bool numbered, struct reaches *reaches)
{
    const struct extent *begin = &extents->list[from];
    uint64_t near = begin->address + range_named_extent(begin->range, begin->address);
    uint16_t *no_end = &function->no_end[pointer_number(launch, begin)];

    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *end = &extents->list[i];
        size_t pointer = pointer_number(launch, end);

        if (i == from || end->range != begin->range || pointer >= POINTERS)
            continue;
        if (end->address < begin->address)
            *no_end |= (uint16_t)(1u << pointer);
        if (end->address > begin->address && !(*no_end >> pointer & 1))
            add(reaches, &(struct reached_place){.range = begin->range,
                                                 .address = begin->address,
                                                 .bytes = end->address - begin->address,
                                                 .optional = numbered,
                                                 .beyond = end->address > near});
    }
}

void reach_by_numbers(const struct launch *launch, const struct extents *extents,
                      struct reaches *reaches)
{
    struct function *function = extents->n ? function_of(launch) : NULL;
    struct packed packed;
    struct numbers numbers;

    if (!function)
        return;
    pack(launch, &packed);
    forget_pointers(extents, &packed);
    list_numbers(&packed, &numbers);
    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->list[i];
        size_t pointer = pointer_number(launch, extent);
        uint64_t from = extent->address - extent->range->base;
        struct search search = {
            .range = extent->range,
            .from = from,
            .end = from + range_named_extent(extent->range, extent->address),
            .numbers = &numbers,
            .judged = function->judged[pointer % POINTERS],
            .reaches = reaches,
        };

        if (pointer >= POINTERS)
            continue;
        for (size_t k = 0; k < numbers.n; k++) {
            follow_number(&search, &numbers.list[k], WAY_FORTH);
            follow_number(&search, &numbers.list[k], WAY_BACK);
        }
        follow_pointers(launch, extents, i, function, numbers.n > 0, reaches);
    }
}

bool reach_is_asked(const struct launch *launch)
{
    struct function *function = function_of(launch);

    if (!function)
        return false;
    if (function->expected != known.expected)
        function->looks = 0;
    function->expected = known.expected;
    return function->follows || function->looks < LOOKS;
}

/* Bytes from there that may be read: of our memory or of the driver's. 0 for no device memory. */
static uint64_t sight(const struct driver *drv, CUdeviceptr address)
{
    struct range *range = residency_range(address);
    uint64_t bytes = 0;
    CUdeviceptr base;
    size_t size;

    if (!range) {
        if (address < SIGHT || !drv->cuMemGetAddressRange_v2 ||
            drv->cuMemGetAddressRange_v2(&base, &size, address) != CUDA_SUCCESS)
            return 0;
        return min_u64(base + size - address, SIGHT);
    }
    while (bytes < SIGHT && address + bytes < range->base + range->bytes &&
           !residency_is_on_disk(address + bytes))
        bytes += residency_block_run(address + bytes, SIGHT - bytes);
    return min_u64(bytes, range->base + range->bytes - address);
}

static int read_memory(const struct driver *drv, struct transfer *transfer, CUdeviceptr from,
                       void *to, uint64_t bytes)
{
    uint64_t done = 0;
    int r = 0;

    while (!r && done < bytes) {
        uint64_t run = residency_run(from + done, bytes - done);

        r = driver_errno(
            drv->cuMemcpyDtoHAsync_v2((char *)to + done, from + done, run, transfer->stream));
        done += run;
    }
    return r ? r : transfer_wait(transfer, drv);
}

struct asking {
    const struct driver *drv;
    struct transfer *transfer;
    struct reaches *reaches;
    bool found;
    int result;
};

static void look_into(void *context, const struct layout_word *word, uint64_t value)
{
    struct asking *asking = context;
    uint64_t bytes = align_down(sight(asking->drv, value), sizeof(uint64_t));

    (void)word;
    if (asking->result || !bytes || !is_aligned(value, sizeof(uint64_t)))
        return;
    asking->result = read_memory(asking->drv, asking->transfer, value, known.words, bytes);
    for (uint64_t i = 0; !asking->result && i < bytes / sizeof(uint64_t); i++) {
        struct range *range = residency_range(known.words[i]);

        if (!range)
            continue;
        asking->found = true;
        add(asking->reaches,
            &(struct reached_place){.range = range, .address = known.words[i], .beyond = true});
    }
}

/* What was submitted to the stream before is done, and what it waits for. */
static int wait_for_stream(const struct driver *drv, CUstream stream)
{
    struct ticket ticket;
    int r = ticket_take(drv, stream, &ticket);

    if (r)
        return r;
    r = ticket_wait(drv, &ticket);
    ticket_fini(drv, &ticket);
    return r;
}

int reach_by_addresses(const struct driver *drv, const struct launch *launch,
                       struct reaches *reaches)
{
    struct function *function = function_of(launch);
    struct asking asking = {.drv = drv, .reaches = reaches};
    struct pager *pager;
    CUdevice device;
    CUcontext ctx;
    int r;

    if (!function)
        return 0;
    if (!card_may_drain() || drv->cuCtxGetCurrent(&ctx) != CUDA_SUCCESS ||
        drv->cuCtxGetDevice(&device) != CUDA_SUCCESS || card_open(drv, device, &pager))
        return function->follows ? -EAGAIN : 0;
    asking.transfer = card_transfer(pager, ctx);
    r = asking.transfer ? transfer_ready(asking.transfer, drv) : -ENOMEM;
    if (!r)
        r = wait_for_stream(drv, launch->stream);
    /* The launch itself will be told what is wrong. */
    if (r)
        return 0;
    (void)layout_scan(launch->layout, launch->kernel_params, launch->extra, look_into, &asking);
    function->looks += !asking.result;
    function->follows |= asking.found;
    return 0;
}

/* As far as it certainly may reach. */
static bool is_away(const struct reached_place *place)
{
    uint64_t offset = place->address - place->range->base;
    uint64_t bytes =
        place->bytes ? place->bytes : range_certain_extent(place->range, place->address);
    uint64_t last = (offset + max_u64(bytes, 1) - 1) >> residency.slot_shift;

    for (uint64_t i = offset >> residency.slot_shift; i <= last && i < place->range->n_blocks;
         i++) {
        const struct block *block = &place->range->blocks[i];

        if (block_tier(block) == TIER_DISK ||
            atomic_load_explicit(&block->takes_turns, memory_order_relaxed))
            return true;
    }
    return false;
}

bool reach_leads_away(const struct reaches *reaches)
{
    for (size_t i = 0; i < reaches->n; i++) {
        if (reaches->list[i].beyond && is_away(&reaches->list[i]))
            return true;
    }
    return reaches->more;
}
