/* SPDX-License-Identifier: MIT */
/*
 * Tensors are kept in the order of the plan, with two indexes: by fingerprint, and by place in
 * their file. The first finds what an upload is; the second goes on from there, for uploads of more
 * than one tensor, and tells what a large allocation will hold before anything is in it: loaders
 * fill their slabs in the order of the file.
 *
 * The bytes of an upload are read by a system call that fails where an access would end the
 * program: a wrong pointer is the driver's to refuse.
 */
#include "runtime/recognise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uthash.h>
#include "runtime/log.h"
#include "runtime/origin.h"
#include "runtime/repute.h"
#include "runtime/stats.h"
#include "runtime/util.h"

enum {
    SIZE_LEAST = 64 << 10,  /* bytes: smaller tensors are not recognised by size alone */
    PADDING_SHARE = 16,     /* of a size, and */
    PADDING_MOST = 2 << 20, /* at most so much, that an allocator adds to a tensor */
    ALIGNMENT = 512,        /* of tensors in a slab, at most */
};

struct seen {
    uint32_t index;      /* in the plan */
    struct range *range; /* NULL: not seen */
    uint64_t id;         /* of that range, which may be another's by now */
    uint64_t offset;
    uint64_t uploaded; /* bytes of it, from its begin without a gap */
    bool by_size;
    struct seen *same; /* another one of the same fingerprint */
    uint64_t fingerprint;
    UT_hash_handle hh;
};

static struct {
    struct planfile *plan;
    struct seen *tensors;  /* by index in the plan */
    struct seen *marked;   /* uthash by fingerprint */
    struct seen **in_file; /* by file and offset */
    uint32_t *place;       /* in it, by index in the plan */
    struct seen *last;     /* that an upload was for */
    int *files;            /* descriptors; -1 */
    struct recognised sum;
    uint32_t n_pinned; /* in the plan */
} all;

const struct planfile *recognise_plan(void)
{
    return all.plan;
}

static const struct planfile_tensor *planned(const struct seen *seen)
{
    return &all.plan->tensors[seen->index];
}

static bool is_live(const struct seen *seen)
{
    return seen->range && seen->range->id == seen->id;
}

struct range *recognise_where(uint32_t tensor, uint64_t *out_offset)
{
    const struct seen *seen = &all.tensors[tensor];

    if (!is_live(seen) || seen->range->state != RANGE_LIVE)
        return NULL;
    *out_offset = seen->offset;
    return seen->range;
}

struct recognised recognise_sum(void)
{
    return all.sum;
}

bool recognise_has_pinned(void)
{
    return all.sum.pinned == all.n_pinned;
}

static void lose(struct seen *seen)
{
    all.sum.pinned -= planned(seen)->pinned;
    all.sum.bytes -= planned(seen)->bytes;
    all.sum.by_size -= seen->by_size ? planned(seen)->bytes : 0;
    all.sum.tensors--;
    seen->range = NULL;
}

void recognise_forget(struct range *range)
{
    range->planned = false;
    for (uint32_t i = 0; all.plan && i < all.plan->n_tensors; i++) {
        if (all.tensors[i].range == range)
            lose(&all.tensors[i]);
    }
}

void recognise_reset(void)
{
    for (uint32_t i = 0; all.plan && i < all.plan->n_tensors; i++)
        all.tensors[i].range = NULL;
    all.sum = (struct recognised){0};
    all.last = NULL;
}

/* Whether the file is still the one that was planned with. One that is not there says nothing. */
static bool is_fresh(const struct planfile_file *file, int *out_fd)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    uint8_t *head = NULL;
    struct stat status;
    ssize_t got = -1;
    bool fresh;

    *out_fd = -1;
    if (fd < 0)
        return true;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        (uint64_t)status.st_size == file->bytes)
        head = malloc(PLANFILE_DIGEST);
    if (head)
        got = pread(fd, head, PLANFILE_DIGEST, 0);
    fresh = got == (ssize_t)min_u64(file->bytes, PLANFILE_DIGEST) &&
            planfile_digest(head, (size_t)got) == file->digest;
    free(head);
    if (fresh)
        *out_fd = fd;
    else
        close(fd);
    return fresh;
}

static int by_place(const void *left, const void *right)
{
    const struct planfile_tensor *a = planned(*(struct seen *const *)left);
    const struct planfile_tensor *b = planned(*(struct seen *const *)right);

    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static void index_tensor(uint32_t i)
{
    struct seen *seen = &all.tensors[i];
    struct seen *first;

    seen->index = i;
    all.n_pinned += planned(seen)->pinned;
    seen->fingerprint = planned(seen)->fingerprint;
    all.in_file[i] = seen;
    if (!seen->fingerprint)
        return;
    HASH_FIND(hh, all.marked, &seen->fingerprint, sizeof(seen->fingerprint), first);
    if (!first) {
        HASH_ADD(hh, all.marked, fingerprint, sizeof(seen->fingerprint), seen);
        return;
    }
    while (first->same)
        first = first->same;
    first->same = seen;
}

static int make_indexes(void)
{
    uint32_t n = all.plan->n_tensors;

    all.tensors = calloc(n, sizeof(*all.tensors));
    all.in_file = calloc(n, sizeof(struct seen *));
    all.place = calloc(n, sizeof(*all.place));
    if (!all.tensors || !all.in_file || !all.place)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        index_tensor(i);
    qsort(all.in_file, n, sizeof(struct seen *), by_place);
    for (uint32_t i = 0; i < n; i++)
        all.place[all.in_file[i]->index] = i;
    return 0;
}

static bool open_files(void)
{
    all.files = calloc(all.plan->n_files, sizeof(*all.files));
    for (uint32_t i = 0; all.files && i < all.plan->n_files; i++) {
        if (is_fresh(&all.plan->files[i], &all.files[i]))
            continue;
        log_warn("the plan is stale: file %u of the model has changed since; it is not used", i);
        while (i-- > 0) {
            if (all.files[i] >= 0)
                close(all.files[i]);
        }
        return false;
    }
    return true;
}

void recognise_open(const char *path)
{
    char error[512];

    if (planfile_load(path, error, sizeof(error), &all.plan)) {
        log_warn("%s; there is no plan", error);
        all.plan = NULL;
        return;
    }
    if (open_files() && make_indexes() == 0) {
        repute_open(&all.plan->functions);
        log_info("a plan for %u tensors, %llu MiB", all.plan->n_tensors,
                 (unsigned long long)(all.plan->weights / MIB));
        return;
    }
    all.plan = planfile_free(all.plan);
}

void recognise_card(const struct driver *drv, CUdevice device)
{
    char name[256] = "";

    if (!all.plan || !drv->cuDeviceGetName ||
        drv->cuDeviceGetName(name, sizeof(name), device) != CUDA_SUCCESS ||
        planfile_is_for(all.plan, name))
        return;
    log_warn("the plan was made for another card (%s) than device %d (%s); what it leaves to the "
             "host may not be what is best here",
             all.plan->card, device, name);
}

/* Of our own memory; false when some of it cannot be read. */
static bool peek(const void *from, void *to, size_t size)
{
    struct iovec local = {to, size};
    struct iovec remote = {(void *)from, size};

    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size;
}

static uint64_t fingerprint_at(const void *source, uint64_t bytes)
{
    uint8_t head[PLANFILE_HEAD];
    size_t size = min_u64(bytes, sizeof(head));

    return peek(source, head, size) ? planfile_fingerprint(head, size) : 0;
}

static bool has_room(const struct seen *seen, const struct range *range, uint64_t offset)
{
    return planned(seen)->bytes <= range->bytes - offset;
}

/* The one of this fingerprint that is nowhere yet; else the one that is here already, and if there
 * is only one, that. */
static struct seen *find_marked(uint64_t fingerprint, const struct range *range, uint64_t offset)
{
    struct seen *found = NULL;
    struct seen *first;

    HASH_FIND(hh, all.marked, &fingerprint, sizeof(fingerprint), first);
    for (struct seen *seen = first; seen; seen = seen->same) {
        if (!has_room(seen, range, offset))
            continue;
        if (is_live(seen) && seen->range == range && seen->offset == offset)
            return seen;
        if (!found && !is_live(seen))
            found = seen;
    }
    return found;
}

/* The next of this size in the order of the plan, behind the last that was recognised. */
static struct seen *find_sized(uint64_t bytes)
{
    uint32_t n = all.plan->n_tensors;
    uint32_t from = all.last ? all.last->index + 1 : 0;

    for (uint32_t i = 0; bytes >= SIZE_LEAST && i < n; i++) {
        struct seen *seen = &all.tensors[(from + i) % n];

        if (planned(seen)->bytes == bytes && !is_live(seen))
            return seen;
    }
    return NULL;
}

/* Its blocks, as far as the plan says where these are to be. */
static void pin_blocks(const struct seen *seen)
{
    const struct planfile_tensor *tensor = planned(seen);
    uint64_t first = seen->offset >> residency.slot_shift;
    uint64_t last = (seen->offset + tensor->bytes - 1) >> residency.slot_shift;
    enum block_plan plan = tensor->resident ? BLOCK_ON_DEVICE : BLOCK_ON_HOST;

    for (uint64_t i = first; i <= last && i < seen->range->n_blocks; i++)
        seen->range->blocks[i].plan |= (uint8_t)(tensor->pinned ? plan : BLOCK_FREE);
}

static void take(struct seen *seen, struct range *range, uint64_t offset, uint64_t uploaded,
                 bool by_size)
{
    uint64_t bytes = planned(seen)->bytes;

    if (seen->range)
        lose(seen);
    seen->range = range;
    seen->id = range->id;
    range->planned = true;
    seen->offset = offset;
    seen->uploaded = min_u64(uploaded, bytes);
    seen->by_size = by_size;
    all.sum.bytes += bytes;
    all.sum.by_size += by_size ? bytes : 0;
    all.sum.tensors++;
    all.sum.pinned += planned(seen)->pinned;
    all.last = seen;
    pin_blocks(seen);
    stats_add(tensors_recognised, 1);
    stats_add(bytes_recognised, bytes);
    stats_add(bytes_recognised_by_size, by_size ? bytes : 0);
    range_name(range, range->base + offset);
    range_name(range, range->base + offset + bytes);
}

/* Whether the upload goes on with a tensor whose beginning was seen. */
static bool goes_on(const struct range *range, uint64_t offset, uint64_t bytes)
{
    struct seen *seen = all.last;
    uint64_t at;

    if (!seen || !is_live(seen) || seen->range != range || offset <= seen->offset)
        return false;
    at = offset - seen->offset;
    if (at >= planned(seen)->bytes)
        return false;
    if (at == seen->uploaded)
        seen->uploaded = min_u64(at + bytes, planned(seen)->bytes);
    return true;
}

/* What the file has behind the tensor, if the upload has it too. */
static void take_followers(const struct seen *first, struct range *range, uint64_t offset,
                           const char *source, uint64_t bytes)
{
    const struct planfile_tensor *from = planned(first);

    for (uint32_t i = all.place[first->index] + 1; i < all.plan->n_tensors; i++) {
        struct seen *seen = all.in_file[i];
        const struct planfile_tensor *tensor = planned(seen);
        uint64_t at = tensor->offset - from->offset;

        if (tensor->file != from->file || at >= bytes || !has_room(seen, range, offset + at))
            return;
        if (seen->fingerprint &&
            fingerprint_at(source + at, min_u64(bytes - at, tensor->bytes)) != seen->fingerprint)
            return;
        take(seen, range, offset + at, bytes - at, false);
    }
}

bool recognise_upload(struct range *range, uint64_t offset, const void *source, uint64_t bytes)
{
    uint64_t fingerprint;
    struct seen *seen;
    bool by_size = false;
    bool is_new;

    if (!all.plan || goes_on(range, offset, bytes))
        return false;
    fingerprint = fingerprint_at(source, bytes);
    seen = fingerprint ? find_marked(fingerprint, range, offset) : NULL;
    if (!seen) {
        seen = find_sized(bytes);
        by_size = true;
    }
    if (!seen || !has_room(seen, range, offset))
        return false;
    is_new = !is_live(seen);
    take(seen, range, offset, bytes, by_size);
    if (bytes > planned(seen)->bytes)
        take_followers(seen, range, offset, source, bytes);
    return is_new;
}

static double share_of(const struct planfile_tensor *tensor)
{
    return (double)tensor->resident / (double)tensor->bytes;
}

/* What an allocator makes of a tensor's size. */
static bool is_padded(uint64_t size, uint64_t bytes)
{
    return size <= bytes && bytes - size <= min_u64(size / PADDING_SHARE + ALIGNMENT, PADDING_MOST);
}

/* Of all tensors that the allocation could be for; negative when there are none. */
static double share_by_size(uint64_t bytes)
{
    double resident = 0, sum = 0;

    for (uint32_t i = 0; i < all.plan->n_tensors; i++) {
        const struct planfile_tensor *tensor = &all.plan->tensors[i];

        if (!is_padded(tensor->bytes, bytes) || is_live(&all.tensors[i]))
            continue;
        resident += (double)tensor->resident;
        sum += (double)tensor->bytes;
    }
    return sum > 0 ? resident / sum : -1;
}

bool recognise_expect(uint64_t bytes, recognise_share_fn *stays, void *context)
{
    uint64_t left = all.plan ? all.plan->weights - all.sum.bytes : 0;
    double share;
    uint64_t at = 0;

    if (!left || bytes > left + left / PADDING_SHARE + PADDING_MOST)
        return false;
    share = share_by_size(bytes);
    if (share >= 0) {
        stays(context, 0, bytes, share);
        return true;
    }
    for (uint32_t i = 0; i < all.plan->n_tensors && at < bytes; i++) {
        const struct planfile_tensor *tensor = planned(all.in_file[i]);

        if (is_live(all.in_file[i]))
            continue;
        stays(context, at, min_u64(tensor->bytes, bytes - at), share_of(tensor));
        at += tensor->bytes;
    }
    return true;
}

/* The tensor that has these bytes, by a search over those of the range. */
static const struct seen *at(const struct range *range, uint64_t offset)
{
    for (uint32_t i = 0; i < all.plan->n_tensors; i++) {
        const struct seen *seen = &all.tensors[i];

        if (is_live(seen) && seen->range == range && offset >= seen->offset &&
            offset - seen->offset < planned(seen)->bytes)
            return seen;
    }
    return NULL;
}

bool recognise_covers(const struct range *range, uint64_t offset)
{
    return all.plan && at(range, offset) != NULL;
}

bool origin_find(const struct range *range, uint64_t offset, uint64_t bytes, struct origin *out)
{
    const struct seen *seen = all.plan && bytes ? at(range, offset) : NULL;
    uint64_t from;

    if (!seen || seen->by_size || all.files[planned(seen)->file] < 0)
        return false;
    from = offset - seen->offset;
    if (from >= seen->uploaded)
        return false;
    *out = (struct origin){
        .fd = all.files[planned(seen)->file],
        .offset = planned(seen)->offset + from,
        .bytes = min_u64(bytes, seen->uploaded - from),
    };
    /* What follows in the file and in memory alike. */
    for (uint32_t i = all.place[seen->index] + 1; out->bytes < bytes && i < all.plan->n_tensors;
         i++) {
        const struct seen *next = all.in_file[i];
        uint64_t apart = planned(next)->offset - planned(seen)->offset;

        if (planned(next)->file != planned(seen)->file || !is_live(next) || next->by_size ||
            next->range != range || next->offset != seen->offset + apart ||
            next->offset != offset + out->bytes)
            break;
        out->bytes = min_u64(bytes, out->bytes + next->uploaded);
        if (next->uploaded < planned(next)->bytes)
            break;
    }
    return true;
}
