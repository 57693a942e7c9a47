/* SPDX-License-Identifier: MIT */
/* Checks of the driver, the card and the slot it is in. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "planner/text.h"
#include "runtime/util.h"
#include "tools/patient.h"

enum {
    VERSION_MIN = 11020,  /* virtual memory, and memory that can be told from others' */
    VERSION_GOOD = 12020, /* host memory as a place that can be mapped */
};

void check_driver(const struct patient *p, struct finding *out)
{
    int version = p->gpu.version;

    if (!p->has_driver)
        find(out, VERDICT_FAIL, "%s", p->why_not);
    else if (version < VERSION_MIN)
        find(out, VERDICT_FAIL, "the driver speaks CUDA %d.%d; 11.2 is the least", version / 1000,
             version % 1000 / 10);
    else if (version < VERSION_GOOD)
        find(out, VERDICT_WARN,
             "the driver speaks CUDA %d.%d; from 12.2 on host memory can be mapped as the card's",
             version / 1000, version % 1000 / 10);
    else
        find(out, VERDICT_PASS, "the driver speaks CUDA %d.%d", version / 1000,
             version % 1000 / 10);
}

void check_card(const struct patient *p, struct finding *out)
{
    char name[128], total[32], available[32];

    if (!p->has_driver) {
        find(out, VERDICT_SKIP, "there is no driver to ask");
    } else if (!p->has_card) {
        find(out, VERDICT_FAIL, "%s", p->why_not);
    } else {
        text_escape(p->gpu.name, strlen(p->gpu.name), name, sizeof(name));
        find(out, VERDICT_PASS, "%s, %s, %s of it free", name, text_size(p->gpu.total, total),
             text_size(p->gpu.free, available));
    }
}

void check_vmm(const struct patient *p, struct finding *out)
{
    if (p->gpu.vmm)
        find(out, VERDICT_PASS, "yes, in pieces of %llu MiB",
             (unsigned long long)(p->gpu.granularity / MIB));
    else
        find(out, VERDICT_FAIL, "the card or its driver has no virtual memory management");
}

static void tell_self(const struct self_result *result, struct finding *out)
{
    static const enum verdict verdicts[] = {
        [SELF_SKIPPED] = VERDICT_SKIP,
        [SELF_GOOD] = VERDICT_PASS,
        [SELF_BAD] = VERDICT_FAIL,
        [SELF_DIED] = VERDICT_FAIL,
    };

    find(out, verdicts[result->outcome], "%s", result->says);
}

void check_host_vmm(const struct patient *p, struct finding *out)
{
    tell_self(&p->host_vmm, out);
}

void check_pin(const struct patient *p, struct finding *out)
{
    tell_self(&p->pin, out);
    if (out->verdict == VERDICT_FAIL && p->facts.wsl)
        find_trap(out, TRAP_KB16);
}

void check_unified(const struct patient *p, struct finding *out)
{
    if (p->gpu.unified) {
        find(out, VERDICT_WARN, "no: it is the host's");
        find_trap(out, TRAP_KB24);
    } else
        find(out, VERDICT_PASS, "yes");
}

void check_link(const struct patient *p, struct finding *out)
{
    const struct slot *slot = &p->slot;

    if (!slot->lanes || !slot->max_gen)
        find(out, VERDICT_SKIP, "the kernel does not tell the link's speed");
    else if (slot->lanes < slot->max_lanes)
        find(out, VERDICT_WARN, "%u lanes of %u: copies take %u times as long as they could",
             slot->lanes, slot->max_lanes, slot->max_lanes / slot->lanes);
    else if (slot->gen < slot->max_gen)
        /* At rest a link slows down to save power. */
        find(out, VERDICT_PASS, "gen%u x%u at rest, gen%u when it is used", slot->gen, slot->lanes,
             slot->max_gen);
    else
        find(out, VERDICT_PASS, "gen%u x%u, the most that the card has", slot->gen, slot->lanes);
}

void check_rebar(const struct patient *p, struct finding *out)
{
    char window[32], total[32];

    if (!p->slot.window)
        find(out, VERDICT_SKIP, "the kernel does not tell how much");
    else if (p->slot.window < p->gpu.total)
        find(out, VERDICT_WARN, "%s of %s", text_size(p->slot.window, window),
             text_size(p->gpu.total, total));
    else
        find(out, VERDICT_PASS, "all of it");
}

/* Whether a list such as 0-3,8 has the processor. */
static bool list_has(const char *list, int processor)
{
    int first, last, n;

    while (sscanf(list, "%d%n", &first, &n) == 1) {
        list += n;
        last = first;
        if (sscanf(list, "-%d%n", &last, &n) == 1)
            list += n;
        if (processor >= first && processor <= last)
            return true;
        if (*list++ != ',')
            break;
    }
    return false;
}

void check_numa(const struct patient *p, struct finding *out)
{
    int near = 0, all = 0;
    cpu_set_t cpus;

    if (p->slot.node < 0 || !*p->slot.cpus) {
        find(out, VERDICT_PASS, "there is one node");
        return;
    }
    if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) {
        find(out, VERDICT_SKIP, "the kernel does not tell where this process may run");
        return;
    }
    for (int i = 0; i < CPU_SETSIZE; i++) {
        all += CPU_ISSET((size_t)i, &cpus) != 0;
        near += CPU_ISSET((size_t)i, &cpus) && list_has(p->slot.cpus, i);
    }
    if (near == all) {
        find(out, VERDICT_PASS, "yes, on node %d", p->slot.node);
        return;
    }
    find(out, VERDICT_WARN, "%d of the %d processors it may use are near the card (node %d)", near,
         all, p->slot.node);
    find_fix(out, "numactl --cpunodebind=%d --membind=%d, or taskset -c %s", p->slot.node,
             p->slot.node, p->slot.cpus);
}

void check_mig(const struct patient *p, struct finding *out)
{
    if (p->management.divided == MANAGEMENT_UNKNOWN)
        find(out, VERDICT_PASS, "it cannot be divided");
    else if (p->management.divided) {
        find(out, VERDICT_WARN, "it is divided into instances (MIG)");
        find_trap(out, TRAP_KB23);
    } else
        find(out, VERDICT_PASS, "yes");
}

void check_mps(const struct patient *p, struct finding *out)
{
    const char *pipes = getenv("CUDA_MPS_PIPE_DIRECTORY");
    char control[512];

    snprintf(control, sizeof(control), "%s/control", pipes && *pipes ? pipes : "/tmp/nvidia-mps");
    if (access(control, F_OK) == 0) {
        find(out, VERDICT_WARN, "an MPS server shares it out (%s)", control);
        find_trap(out, TRAP_KB25);
    } else
        find(out, VERDICT_PASS, "yes: there is no MPS server");
}

void check_persistence(const struct patient *p, struct finding *out)
{
    if (p->management.persistence == MANAGEMENT_UNKNOWN)
        find(out, VERDICT_SKIP, "the driver does not tell");
    else if (p->management.persistence)
        find(out, VERDICT_PASS, "yes");
    else
        find(out, VERDICT_WARN, "no: persistence mode is off");
}

void check_others(const struct patient *p, struct finding *out)
{
    struct trap_facts facts = p->facts;
    char text[32];

    facts.others = p->gpu.total - min_u64(p->gpu.free, p->gpu.total);
    text_size(facts.others, text);
    if (p->management.programs == MANAGEMENT_UNKNOWN)
        find(out, VERDICT_SKIP, "the driver does not tell");
    else if (p->management.programs > 0)
        find(out, VERDICT_WARN, "%d compute on it; %s of it is in use", p->management.programs,
             text);
    else if (trap_judge(TRAP_KB28, &facts) == TRAP_APPLIES)
        find(out, VERDICT_WARN, "nobody computes on it, but %s of it is in use: by a display?",
             text);
    else
        find(out, VERDICT_PASS, "yes");
    if (out->verdict == VERDICT_WARN)
        find_trap(out, TRAP_KB28);
}

void check_errors(const struct patient *p, struct finding *out)
{
    if (p->management.failures == MANAGEMENT_UNKNOWN)
        find(out, VERDICT_SKIP, "the card does not check its memory, or does not tell");
    else if (p->management.failures > 0)
        find(out, VERDICT_FAIL, "%lld errors of it could not be corrected since the driver started",
             p->management.failures);
    else
        find(out, VERDICT_PASS, "no error is known since the driver started");
}
