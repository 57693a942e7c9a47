/* SPDX-License-Identifier: MIT */
#include "runtime/ahead.h"

#include "runtime/backing.h"
#include "runtime/stats.h"

static struct ahead_buffer *find(struct ahead *ahead, uint32_t page)
{
    for (uint32_t i = 0; i < ahead->n; i++) {
        if (ahead->buffers[i].page == page + 1 && !ahead->buffers[i].taken)
            return &ahead->buffers[i];
    }
    return NULL;
}

static bool is_free(const struct driver *drv, struct ahead_buffer *buffer)
{
    if (buffer->taken && drv->cuEventQuery(buffer->copied) == CUDA_SUCCESS) {
        buffer->taken = false;
        buffer->page = 0;
    }
    return !buffer->page;
}

/* One that is free, or else holds what nobody wants in this round. */
static struct ahead_buffer *find_free(struct ahead *ahead, const struct driver *drv)
{
    struct ahead_buffer *idle = NULL;

    for (uint32_t i = 0; i < ahead->n; i++) {
        struct ahead_buffer *buffer = &ahead->buffers[i];

        if (is_free(drv, buffer))
            return buffer;
        if (!buffer->taken && buffer->wanted != ahead->round && disk_is_over(&buffer->request))
            idle = buffer;
    }
    return idle;
}

static void begin(struct ahead *ahead, struct ahead_buffer *buffer, const struct ahead_page *page)
{
    buffer->page = page->page + 1;
    buffer->bytes = page->bytes;
    buffer->wanted = ahead->round;
    if (backing_is(page->page)) {
        buffer->request = (struct disk_request){.result = 0};
        backing_hint(page->page);
        return;
    }
    buffer->request = spill_request(ahead->spill, page->page, false, buffer->memory, page->bytes);
    disk_start(&ahead->spill->disk, &buffer->request);
}

void ahead_want(struct ahead *ahead, const struct driver *drv, const struct ahead_page *pages,
                uint32_t n)
{
    struct ahead_buffer *buffer;

    disk_poll(&ahead->spill->disk);
    ahead->round++;
    for (uint32_t i = 0; i < n; i++) {
        buffer = find(ahead, pages[i].page);
        if (buffer)
            buffer->wanted = ahead->round;
    }
    /* Without io_uring it would not be ahead, only earlier than need be. */
    for (uint32_t i = 0; i < n && ahead->spill->disk.async; i++) {
        if (find(ahead, pages[i].page))
            continue;
        buffer = find_free(ahead, drv);
        if (!buffer)
            return;
        begin(ahead, buffer, &pages[i]);
    }
}

/* When all are in use the copy that was begun first is waited for. */
static struct ahead_buffer *wait_for_free(struct ahead *ahead, const struct driver *drv)
{
    for (uint32_t i = 0; i < ahead->n; i++) {
        struct ahead_buffer *buffer = &ahead->buffers[i];

        if (buffer->taken && drv->cuEventSynchronize(buffer->copied) == CUDA_SUCCESS &&
            is_free(drv, buffer))
            return buffer;
    }
    for (uint32_t i = 0; i < ahead->n; i++) {
        struct ahead_buffer *buffer = &ahead->buffers[i];

        if (buffer->taken)
            continue;
        (void)disk_finish(&ahead->spill->disk, &buffer->request);
        return buffer;
    }
    return NULL;
}

static int check(struct ahead *ahead, struct ahead_buffer *buffer)
{
    int r = buffer->request.result;

    if (backing_is(buffer->page - 1)) {
        r = backing_read(buffer->page - 1, buffer->memory);
        if (!r)
            stats_add(bytes_read, buffer->bytes);
    } else if (r) {
        spill_blame(ahead->spill, &buffer->request);
        r = -EIO;
    } else {
        stats_add(bytes_read, buffer->bytes);
        r = spill_verify(ahead->spill, buffer->page - 1, buffer->memory, buffer->bytes);
    }
    if (r) {
        stats_add(disk_errors, 1);
        buffer->page = 0;
    }
    return r;
}

int ahead_take(struct ahead *ahead, const struct driver *drv, const struct ahead_page *page,
               bool wait, struct ahead_buffer **out)
{
    struct ahead_buffer *buffer = find(ahead, page->page);
    int r;

    if (!buffer) {
        buffer = find_free(ahead, drv);
        if (!buffer && wait)
            buffer = wait_for_free(ahead, drv);
        if (!buffer || (!wait && !ahead->spill->disk.async))
            return -EAGAIN;
        begin(ahead, buffer, page);
    }
    disk_poll(&ahead->spill->disk);
    if (wait)
        (void)disk_finish(&ahead->spill->disk, &buffer->request);
    else if (!disk_is_over(&buffer->request))
        return -EAGAIN;
    r = check(ahead, buffer);
    if (!r)
        *out = buffer;
    return r;
}

void ahead_taken(struct ahead_buffer *buffer, CUevent copied)
{
    buffer->taken = true;
    buffer->copied = copied;
}

static void release(struct ahead *ahead, struct ahead_buffer *buffer)
{
    if (!buffer->page)
        return;
    if (!buffer->taken)
        (void)disk_finish(&ahead->spill->disk, &buffer->request);
    buffer->page = 0;
    buffer->taken = false;
}

void ahead_drop(struct ahead *ahead, uint32_t page)
{
    struct ahead_buffer *buffer = find(ahead, page);

    if (buffer)
        release(ahead, buffer);
}

void ahead_forget(struct ahead *ahead)
{
    for (uint32_t i = 0; i < ahead->n; i++)
        release(ahead, &ahead->buffers[i]);
}
