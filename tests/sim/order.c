/* SPDX-License-Identifier: MIT */
/*
 * Queued work and what it waits for is a graph without cycles, as a marker only depends on markers
 * made before it. Of each stream the search needs to look only as far as the newest piece it has
 * come upon, and never twice at the same piece.
 */
#include "tests/sim/order.h"

#include <stdlib.h>

/* How far into a stream's queue the search has looked: markers up to this number. */
struct seen {
    const struct stream *stream;
    uint64_t upto;
};

struct search {
    const struct marker *marker;
    struct seen *seen;
    size_t n;
    size_t capacity;
};

static struct seen *search_seen(struct search *search, const struct stream *stream)
{
    for (size_t i = 0; i < search->n; i++)
        if (search->seen[i].stream == stream)
            return &search->seen[i];
    if (search->n == search->capacity) {
        search->capacity = search->capacity ? 2 * search->capacity : 8;
        search->seen = realloc(search->seen, search->capacity * sizeof(*search->seen));
        if (!search->seen)
            abort();
    }
    search->seen[search->n] = (struct seen){stream, 0};
    return &search->seen[search->n++];
}

/* Looks at a stream's work up to and including the marker of that number. */
static bool search_stream(struct search *search, const struct stream *stream, uint64_t upto)
{
    uint64_t from = search_seen(search, stream)->upto;

    if (upto <= from)
        return false;
    search_seen(search, stream)->upto = upto;
    if (stream == search->marker->stream && search->marker->id <= upto)
        return true;
    for (const struct work *work = stream->head; work && work->marker->id <= upto;
         work = work->next) {
        if (work->marker->id <= from)
            continue;
        for (size_t i = 0; i < work->n_deps; i++) {
            const struct marker *dep = work->deps[i];

            if (!dep->done && search_stream(search, dep->stream, dep->id))
                return true;
        }
    }
    return false;
}

bool order_follows(const struct stream *stream, const struct marker *marker)
{
    struct search search = {.marker = marker};
    bool follows = marker->done;

    if (!follows && stream->last && !stream->last->done)
        follows = search_stream(&search, stream, stream->last->id);
    free(search.seen);
    return follows;
}
