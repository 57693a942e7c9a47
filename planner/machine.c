/* SPDX-License-Identifier: MIT */
/*
 * Budgets and rates.
 *
 * What can be measured without running anything is: free device memory, available host memory by
 * control group, free disk space, the link that the slot really has. The rest comes from tables,
 * and every figure can be given instead. With --gpu the answer depends on nothing of this machine
 * but what was not given.
 */
#include "planner/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "planner/probe.h"
#include "runtime/card_name.h"
#include "runtime/config.h"
#include "runtime/host_memory.h"
#include "runtime/nearest.h"
#include "runtime/planfile.h"
#include "runtime/profile.h"
#include "runtime/util.h"

static const struct card {
    const char *name;
    uint64_t memory_mib;
    double rate, flops, launch_ns, in_place;
    const char *link;
    bool unified;
    unsigned int capability;
} cards[] = {
#define CARD(name, memory_mib, rate, flops, launch_ns, in_place, link, unified, capability,        \
             source)                                                                               \
    {name, memory_mib, rate, flops, launch_ns, in_place, link, unified, capability},
#include "planner/cards.def"
};

static const struct link {
    const char *name;
    unsigned int gen, lanes;
    double rate;
} links[] = {
#define LINK(name, gen, lanes, rate, source) {name, gen, lanes, rate},
#include "planner/links.def"
};

/* What is assumed where nothing is known; published or usual figures. */
#define FREE_SHARE     0.98 /* of a card's memory, when nothing else uses it */
#define BUDGET_SHARE   0.95 /* VRAMSHIM_VRAM as it is by default */
#define PINNED_SHARE   0.75 /* VRAMSHIM_RAM as it is by default */
#define PAGEABLE_SHARE 0.3  /* of the link, for copies of memory that is not pinned: 0.2 to 0.4 */
#define RAM_RATE       40e9 /* two channels of DDR4 or DDR5 in desktops: 38 to 60 */
#define DISK_RATE      3e9  /* one consumer NVMe: 2.4 to 7 */
#define SPEED_ERROR    0.35
#define DRIVER_MIB     500
#define DRIVER_ERROR   200

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Letters and digits only: "rtx3060" finds "GeForce RTX 3060". */
static void squeeze(const char *text, char *out, size_t size)
{
    size_t n = 0;

    for (; *text && n + 1 < size; text++)
        if (is_letter_or_digit(*text))
            out[n++] = *text;
    out[n] = '\0';
}

const struct config *machine_settings(void)
{
    static struct config settings;
    static bool loaded;

    if (!loaded)
        config_load(&settings, environ);
    loaded = true;
    return &settings;
}

static const struct card *card_by_name(const char *driver_name)
{
    const struct card *best = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(cards); i++) {
        if (card_name_is(driver_name, cards[i].name) &&
            (!best || strlen(cards[i].name) > strlen(best->name)))
            best = &cards[i];
    }
    return best;
}

/* Whether the name ends in these words, so that "RTX 3060" is not "RTX 3060 Ti". */
static bool ends_in(const char *name, const char *wanted)
{
    char words[96];

    for (const char *at = name; *at; at++) {
        if (at > name && at[-1] != ' ')
            continue;
        squeeze(at, words, sizeof(words));
        if (strcasecmp(words, wanted) == 0)
            return true;
    }
    return false;
}

/* The only row that ends in what was given. */
static const struct card *card_given(const char *given)
{
    const struct card *found = NULL;
    size_t n = 0;
    char wanted[96];

    squeeze(given, wanted, sizeof(wanted));
    for (size_t i = 0; i < ARRAY_SIZE(cards); i++) {
        if (!ends_in(cards[i].name, wanted))
            continue;
        found = &cards[i];
        n++;
    }
    return n == 1 ? found : card_by_name(given);
}

static int no_such_card(const char *given, char *error, size_t size)
{
    const char *names[ARRAY_SIZE(cards)];

    for (size_t i = 0; i < ARRAY_SIZE(cards); i++)
        names[i] = cards[i].name;
    snprintf(error, size,
             "no card \"%.60s\" in the table; did you mean \"%.80s\"? (or give --vram and --link)",
             given, nearest_choice(given, names, ARRAY_SIZE(names)));
    return -EINVAL;
}

static void take_card(const struct card *card, struct machine *m)
{
    m->speed_error = SPEED_ERROR;
    m->unified = card->unified;
    m->capability = card->capability;
    m->device_rate = card->rate;
    m->flops = card->flops;
    m->launch = card->launch_ns * 1e-9;
    m->in_place_rate = card->in_place / 100;
    snprintf(m->link, sizeof(m->link), "%s", card->link);
}

/* A card that nobody knows: somewhere in the middle, and half as sure. */
static void take_unknown_card(struct machine *m)
{
    static const struct card unknown = {"", 0, 500e9, 60e12, 2500, 60, "gen4x16", false, 0};

    take_card(&unknown, m);
    m->speed_error = 0.5;
}

/* "12.3GB/s", or a size, which is then per second. */
static bool parse_rate(const char *text, double *out)
{
    char size_text[32];
    uint64_t bytes;
    size_t n = strlen(text);

    if (n >= sizeof(size_text))
        return false;
    snprintf(size_text, sizeof(size_text), "%s", text);
    if (n > 2 && strcmp(text + n - 2, "/s") == 0)
        size_text[n - 2] = '\0';
    if (!config_parse_size(size_text, &bytes) || bytes == 0)
        return false;
    *out = (double)bytes;
    return true;
}

static int bad_link(const char *given, char *error, size_t size)
{
    const char *names[ARRAY_SIZE(links)];

    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        names[i] = links[i].name;
    snprintf(error, size,
             "--link \"%.80s\" is neither a rate such as 12.3GB/s nor a link; did you mean %s?",
             given, nearest_choice(given, names, ARRAY_SIZE(names)));
    return -EINVAL;
}

static int take_link(const char *given, struct machine *m, char *error, size_t size)
{
    const char *name = given ? given : m->link;

    if (!given && m->link_rate > 0)
        return 0;
    m->link_rate = 0;
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        if (strcasecmp(links[i].name, name) == 0)
            m->link_rate = links[i].rate;
    if (m->link_rate == 0 && !parse_rate(name, &m->link_rate))
        return bad_link(given, error, size);
    if (name != m->link)
        snprintf(m->link, sizeof(m->link), "%s", name);
    return 0;
}

/* Left as it is where the kernel does not tell. */
static void name_slot(const struct probe *probe, struct machine *m)
{
    if (!probe->link_gen || !probe->link_lanes)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        if (links[i].gen == probe->link_gen && links[i].lanes == probe->link_lanes)
            snprintf(m->link, sizeof(m->link), "%s", links[i].name);
}

static int take_given_card(const char *given, struct machine *m, char *error, size_t size)
{
    const struct card *card = card_given(given);

    if (strcasecmp(given, "none") == 0) {
        m->without = true;
        snprintf(m->why_not, sizeof(m->why_not), "--gpu none is a machine without a card");
        return 0;
    }
    if (!card)
        return no_such_card(given, error, size);
    take_card(card, m);
    snprintf(m->card, sizeof(m->card), "%s", card->name);
    m->memory = card->memory_mib * MIB;
    m->free = (uint64_t)((double)m->memory * FREE_SHARE);
    m->has_card = true;
    return 0;
}

/* The card that is here. */
static void take_present_card(struct machine *m)
{
    struct probe probe;
    const struct card *card;

    if (probe_card(&probe, m->why_not, sizeof(m->why_not)) != 0)
        return;
    card = card_by_name(probe.name);
    if (card)
        take_card(card, m);
    name_slot(&probe, m);
    snprintf(m->card, sizeof(m->card), "%s", probe.name);
    m->unified = probe.unified;
    if (probe.capability)
        m->capability = probe.capability;
    m->n_cards = probe.n_cards;
    m->memory = probe.total;
    m->free = probe.free;
    m->has_card = m->measured = true;
}

/* What was measured; the rest stays as it is believed. */
static void take_rates(const struct profile *profile, struct machine *m)
{
    static const struct {
        enum profile_key key;
        size_t from, to;
        double factor;
    } rows[] = {
#define ROW(key, field, factor)                                                                    \
    {PROFILE_##key, offsetof(struct profile, key), offsetof(struct machine, field), factor}
        ROW(device_memory, device_rate, 1),
        ROW(launch_call, launch, 1e-9),
        ROW(h2d, link_rate, 1),
        ROW(zero_copy, in_place_rate, 1e-3),
        ROW(pageable, pageable_rate, 1),
        ROW(host_memory_all, ram_rate, 1),
        ROW(spill_read, disk_rate, 1),
#undef ROW
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t value;

        memcpy(&value, (const char *)profile + rows[i].from, sizeof(value));
        if (profile_has(profile, rows[i].key))
            *(double *)((char *)m + rows[i].to) = (double)value * rows[i].factor;
    }
    m->profiled = true;
}

/* The machine that the file tells of, whatever this one is. */
static int take_given_profile(const char *path, struct machine *m, char *error, size_t size)
{
    struct profile profile = {0};
    const struct card *card;
    int r = profile_read(path, &profile, error, size);

    if (r)
        return -EINVAL;
    if (!profile_has(&profile, PROFILE_name) || !profile_has(&profile, PROFILE_memory)) {
        snprintf(error, size, "%s: it does not say what card and memory it is of", path);
        return -EINVAL;
    }
    card = card_by_name(profile.name);
    if (card)
        take_card(card, m);
    take_rates(&profile, m);
    if (profile_has(&profile, PROFILE_compute_major))
        m->capability = (unsigned int)(profile.compute_major * 10 + profile.compute_minor);
    snprintf(m->card, sizeof(m->card), "%s", profile.name);
    m->memory = profile.memory;
    m->free = (uint64_t)((double)m->memory * FREE_SHARE);
    m->has_card = true;
    return 0;
}

/* This machine's, when it is of the card that is here. One that cannot be read is as none. */
static void take_own_profile(struct machine *m)
{
    struct profile profile = {0};
    char path[512], error[256];

    if (m->measured && profile_place(getenv("VRAMSHIM_PROFILE"), path, sizeof(path)) &&
        profile_read(path, &profile, error, sizeof(error)) == 0 &&
        strcmp(profile.name, m->card) == 0)
        take_rates(&profile, m);
}

static int parse_size(const char *option, const char *text, uint64_t *out, char *error, size_t size)
{
    if (!text || config_parse_size(text, out))
        return 0;
    snprintf(error, size, "%s \"%.80s\" is no size such as 8GiB", option, text);
    return -EINVAL;
}

static int take_rate(const char *option, const char *text, double *out, char *error, size_t size)
{
    if (!text || parse_rate(text, out))
        return 0;
    snprintf(error, size, "%s \"%.80s\" is no rate such as 40GB/s", option, text);
    return -EINVAL;
}

void machine_spill_folder(char *out, size_t size)
{
    const char *folder = getenv("TMPDIR");

    if (machine_settings()->spill_dir.name[0])
        folder = machine_settings()->spill_dir.name;
    snprintf(out, size, "%s", folder && *folder ? folder : "/var/tmp");
}

/* Space where the library puts what fits nowhere else. */
static uint64_t free_disk(void)
{
    char folder[256];
    struct statvfs stat;
    uint64_t most;

    machine_spill_folder(folder, sizeof(folder));
    if (statvfs(folder, &stat) != 0)
        return 0;
    most = (uint64_t)stat.f_bavail * stat.f_frsize;
    return amount_resolve(machine_settings()->spill, most, most);
}

/* What may be pinned: as the library would have it here. */
static void take_share(struct machine *m)
{
    struct amount amount = machine_settings()->ram;
    bool is_share = amount.percent && !amount.leave_free;

    m->pinned_share = m->what_if ? PINNED_SHARE : is_share ? (double)amount.value / 10000 : 0;
    m->pinned = m->what_if ? (uint64_t)((double)m->host * PINNED_SHARE)
                           : amount_resolve(amount, m->host, m->host);
}

static int take_host(const struct machine_request *request, struct machine *m, char *error,
                     size_t size)
{
    int r = 0;

    if (!request->ram)
        m->host = host_memory_available("");
    if (!request->disk && !m->what_if)
        m->disk = free_disk();
    r = r ? r : parse_size("--ram", request->ram, &m->host, error, size);
    take_share(m);
    if (request->pinned)
        m->pinned_share = 0;
    r = r ? r : parse_size("--pinned", request->pinned, &m->pinned, error, size);
    r = r ? r : parse_size("--disk", request->disk, &m->disk, error, size);
    r = r ? r : take_rate("--ram-rate", request->ram_rate, &m->ram_rate, error, size);
    r = r ? r : take_rate("--disk-rate", request->disk_rate, &m->disk_rate, error, size);
    m->pinned = min_u64(m->pinned, m->host);
    return r;
}

/* As VRAMSHIM_VRAM: so much, or all but so much of what is there. */
static int take_vram(const char *text, struct machine *m, char *error, size_t size)
{
    struct amount amount;

    if (!text)
        return 0;
    if (m->without) {
        snprintf(error, size, "--gpu none has no memory: leave --vram out, or --gpu");
        return -EINVAL;
    }
    if (!config_parse_amount(text, &amount)) {
        snprintf(error, size,
                 "--vram \"%.80s\" is no size such as 8GiB, share such as 80%%, or -1GiB", text);
        return -EINVAL;
    }
    if (!m->has_card && (amount.percent || amount.leave_free)) {
        snprintf(error, size, "--vram \"%.80s\" of which card? name one with --gpu", text);
        return -EINVAL;
    }
    m->device = amount.percent || amount.leave_free
                    ? amount_resolve(amount, less_u64(m->free, m->driver), m->memory)
                    : amount.value;
    return 0;
}

/* The driver's share goes off what is free; what was asked for is taken as it is. */
static int take_device(const struct machine_request *request, struct machine *m, char *error,
                       size_t size)
{
    int r = parse_size("--driver", request->driver, &m->driver, error, size);

    if (r)
        return r;
    if (request->driver)
        m->driver_error = 0;
    m->device = (uint64_t)((double)less_u64(m->free, m->driver) * BUDGET_SHARE);
    r = take_vram(request->vram, m, error, size);
    if (!r && request->vram && !m->has_card) {
        m->has_card = true;
        snprintf(m->card, sizeof(m->card), "%s", PLANFILE_ANY_CARD);
    }
    return r;
}

int machine_look(const struct machine_request *request, struct machine *out, char *error,
                 size_t error_size)
{
    int r = 0;

    memset(out, 0, sizeof(*out));
    out->ram_rate = RAM_RATE;
    out->disk_rate = DISK_RATE;
    out->speed_error = SPEED_ERROR;
    out->driver = DRIVER_MIB * MIB;
    out->driver_error = DRIVER_ERROR * MIB;
    out->what_if = request->gpu || request->profile;
    take_unknown_card(out);
    if (request->gpu && request->profile) {
        snprintf(error, error_size, "--gpu and --profile name two cards; one at a time");
        return -EINVAL;
    }
    if (request->gpu) {
        out->speed_error = SPEED_ERROR;
        r = take_given_card(request->gpu, out, error, error_size);
    } else if (request->profile) {
        r = take_given_profile(request->profile, out, error, error_size);
    } else if (!request->vram || !request->link) {
        take_present_card(out);
        take_own_profile(out);
    }
    r = r ? r : take_link(request->link, out, error, error_size);
    r = r ? r : take_device(request, out, error, error_size);
    r = r ? r : take_host(request, out, error, error_size);
    out->in_place_rate *= out->link_rate;
    if (out->pageable_rate <= 0)
        out->pageable_rate = PAGEABLE_SHARE * out->link_rate;
    return r;
}

const char *machine_matrix_types(unsigned int capability)
{
    if (capability >= 89)
        return "fp16, bf16, fp8";
    return capability >= 80 ? "fp16, bf16" : capability >= 70 ? "fp16" : "fp32 alone";
}

const char *machine_computing_type(const struct machine *m)
{
    if (!m->capability)
        return "torch.bfloat16 (float16 below compute capability 8.0)";
    return m->capability >= 80 ? "torch.bfloat16" : "torch.float16";
}
