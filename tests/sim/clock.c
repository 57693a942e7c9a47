/* SPDX-License-Identifier: MIT */
/*
 * Engines are booked in the order in which work runs, each from the moment it is free. The order
 * "timed" runs work in the order in which it could begin, so there the bookings are those of a
 * device; in the other orders they are merely possible ones.
 *
 * The link is full duplex, but both directions together have a limit: a copy that overlaps with one
 * of the other direction, already booked, gets what that leaves. A kernel that reaches host memory
 * shares the link with copies to the device: it is slowed while one is under way, and what it moves
 * delays the next.
 */
#include "tests/sim/clock.h"

#include <string.h>

#include "tests/sim/profile.h"
#include "tests/sim/sim.h"

/* What an engine is booked for last. */
struct booking {
    uint64_t from;
    uint64_t until;
};

static struct booking bookings[MAX_DEVICES][ENGINE_COUNT];
static uint64_t latest; /* of all host clocks */

static struct thread *self(void)
{
    struct thread *thread = core_thread();

    if (!thread->clock_ns)
        thread->clock_ns = latest;
    return thread;
}

uint64_t clock_host(void)
{
    return self()->clock_ns;
}

void clock_charge(uint64_t ns)
{
    struct thread *thread = self();

    thread->clock_ns += ns;
    latest = max_u64(latest, thread->clock_ns);
}

void clock_wait_until(uint64_t ns)
{
    struct thread *thread = self();

    thread->clock_ns = max_u64(thread->clock_ns, ns) + profile.wait_call;
    latest = max_u64(latest, thread->clock_ns);
}

static uint64_t take_ns(uint64_t amount, uint64_t per_second)
{
    return (uint64_t)(((unsigned __int128)amount * 1000000000 + per_second - 1) / per_second);
}

static uint64_t amount_in(uint64_t ns, uint64_t per_second)
{
    return (uint64_t)((unsigned __int128)ns * per_second / 1000000000);
}

uint64_t clock_begin(int device, enum engine engine, uint64_t ready_ns)
{
    return engine == ENGINE_NONE ? ready_ns : max_u64(ready_ns, bookings[device][engine].until);
}

/* A copy over the link that begins at `begin`, while the other direction is booked. */
static uint64_t copy_ns(const struct booking *other, uint64_t other_rate, uint64_t rate,
                        uint64_t bytes, uint64_t begin)
{
    uint64_t left = profile.link_both > other_rate ? profile.link_both - other_rate : rate / 8;
    uint64_t shared_ns;
    uint64_t shared;

    if (begin >= other->until || left >= rate)
        return take_ns(bytes, rate);
    shared_ns = other->until - begin;
    shared = amount_in(shared_ns, left);
    return shared >= bytes ? take_ns(bytes, left) : shared_ns + take_ns(bytes - shared, rate);
}

static uint64_t transfer_ns(int device, const struct cost *cost, uint64_t begin)
{
    bool up = cost->engine == ENGINE_H2D;
    const struct booking *other = &bookings[device][up ? ENGINE_D2H : ENGINE_H2D];
    uint64_t rate = up ? profile.h2d : profile.d2h;

    if (cost->engine == ENGINE_D2D)
        return take_ns(cost->bytes, profile.d2d);
    if (cost->pageable)
        return take_ns(cost->bytes, min_u64(rate, profile.pageable));
    return copy_ns(other, up ? profile.d2h : profile.h2d, rate, cost->bytes, begin);
}

/* What a kernel needs for what it reaches over the link. */
static uint64_t in_place_ns(int device, uint64_t bytes, uint64_t begin)
{
    const struct booking *copies = &bookings[device][ENGINE_H2D];
    uint64_t alone = take_ns(bytes, profile.h2d / 1000 * profile.zero_copy);
    uint64_t shared = copies->until > begin ? copies->until - begin : 0;

    return bytes ? alone + min_u64(shared, alone) : 0;
}

static uint64_t work_ns(int device, const struct cost *cost, uint64_t begin)
{
    switch (cost->engine) {
    case ENGINE_COMPUTE:
        return max_u64(max_u64(cost->ns, take_ns(cost->bytes, profile.device_memory)),
                       in_place_ns(device, cost->link_bytes, begin)) +
               (cost->in_graph ? profile.graph_kernel : profile.launch_device);
    case ENGINE_NONE:
        return cost->ns;
    default:
        return profile.copy_latency + transfer_ns(device, cost, begin);
    }
}

uint64_t clock_book(int device, const struct cost *cost, uint64_t ready_ns)
{
    uint64_t begin = clock_begin(device, cost->engine, ready_ns);
    uint64_t end = begin + work_ns(device, cost, begin);
    struct booking *link = &bookings[device][ENGINE_H2D];

    if (cost->engine != ENGINE_NONE)
        bookings[device][cost->engine] = (struct booking){begin, end};
    if (cost->engine == ENGINE_COMPUTE && cost->link_bytes)
        link->until = max_u64(link->until, begin) + take_ns(cost->link_bytes, profile.h2d);
    return end;
}

static bool contains(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* By name, so that versions and kinds of a call cost the same. */
static uint64_t call_ns(const char *symbol)
{
    if (contains(symbol, "cuGraphLaunch"))
        return profile.graph_call;
    if (contains(symbol, "Launch"))
        return profile.launch_call;
    if (contains(symbol, "cuMemcpy") || contains(symbol, "cuMemset"))
        return profile.copy_call;
    if (contains(symbol, "Query"))
        return profile.query_call;
    if (contains(symbol, "cuEventRecord") || contains(symbol, "cuStreamWaitEvent"))
        return profile.event_call;
    return profile.call;
}

void clock_charge_call(const char *symbol)
{
    clock_charge(call_ns(symbol));
}

void clock_charge_priced(enum priced what, uint64_t bytes)
{
    const struct price *prices[PRICE_COUNT] = {
        [PRICE_RESERVE] = &profile.reserve,
        [PRICE_CREATE_DEVICE] = &profile.create_device,
        [PRICE_CREATE_HOST] = &profile.create_host,
        [PRICE_MAP] = &profile.map,
        [PRICE_ACCESS] = &profile.access,
        [PRICE_UNMAP] = &profile.unmap,
        [PRICE_RELEASE] = &profile.release,
        [PRICE_ALLOCATE] = &profile.allocate,
        [PRICE_FREE] = &profile.free,
        [PRICE_PIN] = &profile.pin,
        [PRICE_UNPIN] = &profile.unpin,
    };

    clock_charge(prices[what]->ns +
                 (uint64_t)((unsigned __int128)bytes * prices[what]->ns_per_mib / MIB));
}

EXPORT uint64_t sim_clock_now(void)
{
    uint64_t now;

    core_lock();
    now = clock_host();
    core_unlock();
    return now;
}

EXPORT void sim_clock_charge(uint64_t ns)
{
    core_lock();
    clock_charge(ns);
    core_unlock();
}
