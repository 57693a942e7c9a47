/* SPDX-License-Identifier: MIT */
/*
 * One row of profile.def is one key: how it is read and written follows from its kind. Numbers are
 * read digit by digit, as the library runs in programs that may have set any locale.
 *
 * A file that another user could have written is not read: what it says decides what the library
 * does in this user's programs.
 */
#include "runtime/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/util.h"

enum {
    FILE_MAX = 64 << 10,
    DIGITS_MAX = 18,
};

struct unit {
    const char *name;
    uint64_t factor;
};

_Static_assert(PROFILE_KEYS <= 64, "a bit each in struct profile");

static const struct unit times[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {NULL, 0}};
static const struct unit rates[] = {
    {"B/s", 1}, {"MB/s", 1000000}, {"GB/s", 1000000000}, {"TB/s", 1000000000000}, {NULL, 0},
};
static const struct unit sizes[] = {
    {"", 1}, {"B", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {"TiB", GIB << 10}, {NULL, 0},
};
static const struct unit shares[] = {{"%", 10}, {NULL, 0}};
static const struct unit numbers[] = {{"", 1}, {NULL, 0}};

/* Digits, with a point among them, as a whole number and the power of ten it is divided by. */
static const char *read_digits(const char *text, uint64_t *digits, uint64_t *divisor)
{
    const char *at = text;
    bool point = false;
    int n = 0;

    *digits = 0;
    *divisor = 1;
    for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        if (n++ >= DIGITS_MAX)
            return NULL;
        *digits = *digits * 10 + (uint64_t)(*at - '0');
        *divisor *= point ? 10 : 1;
    }
    return n ? at : NULL;
}

/* A number with one of the units. */
static bool parse_scaled(const char *text, const struct unit *units, uint64_t *out)
{
    uint64_t digits, divisor;
    const char *end = read_digits(text, &digits, &divisor);
    unsigned __int128 value;

    for (; end && units->name; units++) {
        if (strcmp(end, units->name))
            continue;
        value = ((unsigned __int128)digits * units->factor + divisor / 2) / divisor;
        if (value > (uint64_t)1 << 62)
            return false;
        *out = (uint64_t)value;
        return true;
    }
    return false;
}

static bool parse_BYTES(const char *text, uint64_t *out)
{
    return parse_scaled(text, sizes, out);
}

static bool parse_NUMBER(const char *text, uint64_t *out)
{
    return parse_scaled(text, numbers, out);
}

static bool parse_TIME(const char *text, uint64_t *out)
{
    return parse_scaled(text, times, out);
}

/* Nothing is free: a rate divides. */
static bool parse_RATE(const char *text, uint64_t *out)
{
    uint64_t rate;

    if (!parse_scaled(text, rates, &rate) || !rate)
        return false;
    *out = rate;
    return true;
}

static bool parse_SHARE(const char *text, uint64_t *out)
{
    uint64_t share;

    if (!parse_scaled(text, shares, &share) || !share || share > 1000)
        return false;
    *out = share;
    return true;
}

static bool parse_PRICE(const char *text, struct price *out)
{
    char first[32];
    char second[32];
    char rest;
    struct price price;

    if (sscanf(text, "%31s %31s %c", first, second, &rest) != 2 || !parse_TIME(first, &price.ns) ||
        !parse_TIME(second, &price.ns_per_mib))
        return false;
    *out = price;
    return true;
}

static bool parse_text(const char *text, char *out, size_t size)
{
    return *text && strlen(text) < size && strcpy(out, text);
}

static bool parse_line(struct profile *profile, const char *key, const char *value)
{
    bool good = false;

#define TAKE(name, parsed)                                                                         \
    if (!strcmp(key, #name)) {                                                                     \
        good = parsed;                                                                             \
        profile->told |= (uint64_t)good << PROFILE_##name;                                         \
    }
#define TEXT(name, size) TAKE(name, parse_text(value, profile->name, sizeof(profile->name)))
#define BYTES(name)      TAKE(name, parse_BYTES(value, &profile->name))
#define NUMBER(name)     TAKE(name, parse_NUMBER(value, &profile->name))
#define TIME(name)       TAKE(name, parse_TIME(value, &profile->name))
#define RATE(name)       TAKE(name, parse_RATE(value, &profile->name))
#define SHARE(name)      TAKE(name, parse_SHARE(value, &profile->name))
#define PRICE(name)      TAKE(name, parse_PRICE(value, &profile->name))
#include "runtime/profile.def"
    return good;
}

/* A line without its comment and the blanks around it. */
static void copy_line(const char *from, size_t n, char *out, size_t size)
{
    const char *comment = memchr(from, '#', n);

    if (comment)
        n = (size_t)(comment - from);
    while (n && strchr(" \t\r", from[n - 1]))
        n--;
    while (n && strchr(" \t", *from)) {
        from++;
        n--;
    }
    n = n < size ? n : size - 1;
    memcpy(out, from, n);
    out[n] = '\0';
}

int profile_parse(struct profile *profile, const char *text, unsigned int *line, char *word,
                  size_t size)
{
    unsigned int number = 0;

    for (size_t n; *text; text += n + (text[n] == '\n')) {
        char copy[256];
        char key[64];
        int value = 0;

        n = strcspn(text, "\n");
        number++;
        copy_line(text, n, copy, sizeof(copy));
        if (!*copy)
            continue;
        if (sscanf(copy, "%63s %n", key, &value) == 1 && value &&
            parse_line(profile, key, copy + value))
            continue;
        *line = number;
        snprintf(word, size, "%s", copy);
        return -EINVAL;
    }
    return 0;
}

static int complain(int result, const char *path, const char *why, char *error, size_t size)
{
    snprintf(error, size, "%s: %s", path, why);
    return result;
}

static int check_owner(int fd, const char *path, char *error, size_t size)
{
    struct stat stat;

    if (fstat(fd, &stat) != 0)
        return complain(-errno, path, strerror(errno), error, size);
    if (!S_ISREG(stat.st_mode))
        return complain(-EINVAL, path, "not a file", error, size);
    if (stat.st_uid != geteuid() && stat.st_uid != 0)
        return complain(-EPERM, path, "it belongs to another user; not read", error, size);
    if (stat.st_mode & S_IWOTH)
        return complain(-EPERM, path, "anybody may write to it; not read (chmod o-w)", error, size);
    if (stat.st_size > FILE_MAX)
        return complain(-EINVAL, path, "too large to be a profile", error, size);
    return 0;
}

/* All of the file, ended by a zero. */
static int read_text(int fd, const char *path, char *text, char *error, size_t size)
{
    size_t used = 0;

    while (used < FILE_MAX) {
        ssize_t n = read(fd, text + used, FILE_MAX - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return complain(-errno, path, strerror(errno), error, size);
        if (n == 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    return strlen(text) == used ? 0 : complain(-EINVAL, path, "not a text", error, size);
}

int profile_read(const char *path, struct profile *profile, char *error, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct profile changed = *profile;
    unsigned int line = 0;
    char word[64];
    char *text;
    int r;

    if (fd < 0)
        return complain(-errno, path, strerror(errno), error, size);
    text = malloc(FILE_MAX + 1);
    r = text ? check_owner(fd, path, error, size)
             : complain(-ENOMEM, path, "out of memory", error, size);
    r = r ? r : read_text(fd, path, text, error, size);
    if (!r && profile_parse(&changed, text, &line, word, sizeof(word))) {
        snprintf(error, size, "%s, line %u: \"%s\" is not a key and its value", path, line, word);
        r = -EINVAL;
    }
    if (!r)
        *profile = changed;
    free(text);
    close(fd);
    return r;
}

bool profile_path(char *out, size_t size)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n;

    if (config && *config == '/')
        n = snprintf(out, size, "%s/vramshim/profile", config);
    else if (home && *home == '/')
        n = snprintf(out, size, "%s/.config/vramshim/profile", home);
    else
        return false;
    return n > 0 && (size_t)n < size;
}

bool profile_place(const char *setting, char *out, size_t size)
{
    if (!setting || !*setting)
        return profile_path(out, size);
    return strcmp(setting, "none") && (size_t)snprintf(out, size, "%s", setting) < size;
}

/* In the largest unit that it is at least one of, with as many digits as say something. */
static void format_scaled(uint64_t value, const struct unit *units, char *out, size_t size)
{
    const struct unit *unit = units;
    uint64_t whole, thousandths;
    int n;

    while (unit[1].name && value >= unit[1].factor)
        unit++;
    whole = value / unit->factor;
    thousandths = (uint64_t)((unsigned __int128)(value % unit->factor) * 1000 / unit->factor);
    n = snprintf(out, size, "%llu.%03llu", (unsigned long long)whole,
                 (unsigned long long)thousandths);
    while (out[n - 1] == '0')
        n--;
    n -= out[n - 1] == '.';
    snprintf(out + n, size - (size_t)n, "%s", unit->name);
}

static void format_text(const char *text, char *out, size_t size)
{
    snprintf(out, size, "%s", text);
}

/* Exactly. */
static void format_BYTES(uint64_t bytes, char *out, size_t size)
{
    snprintf(out, size, "%llu%s", (unsigned long long)(bytes % MIB ? bytes : bytes / MIB),
             bytes % MIB ? "" : "MiB");
}

static void format_NUMBER(uint64_t number, char *out, size_t size)
{
    snprintf(out, size, "%llu", (unsigned long long)number);
}

static void format_TIME(uint64_t ns, char *out, size_t size)
{
    format_scaled(ns, times, out, size);
}

static void format_RATE(uint64_t rate, char *out, size_t size)
{
    format_scaled(rate, rates, out, size);
}

static void format_SHARE(uint64_t share, char *out, size_t size)
{
    format_scaled(share, shares, out, size);
}

static void format_PRICE(struct price price, char *out, size_t size)
{
    char first[32], second[32];

    format_TIME(price.ns, first, sizeof(first));
    format_TIME(price.ns_per_mib, second, sizeof(second));
    snprintf(out, size, "%s %s", first, second);
}

bool profile_format(const struct profile *profile, enum profile_key key, char *out, size_t size)
{
    if (!profile_has(profile, key))
        return false;
    switch (key) {
#define SAY(name, kind)                                                                            \
    case PROFILE_##name:                                                                           \
        format_##kind(profile->name, out, size);                                                   \
        return true;
#define TEXT(name, size_) SAY(name, text)
#define BYTES(name)       SAY(name, BYTES)
#define NUMBER(name)      SAY(name, NUMBER)
#define TIME(name)        SAY(name, TIME)
#define RATE(name)        SAY(name, RATE)
#define SHARE(name)       SAY(name, SHARE)
#define PRICE(name)       SAY(name, PRICE)
#include "runtime/profile.def"
    case PROFILE_KEYS:
        break;
    }
    return false;
}

const char *profile_key_name(enum profile_key key)
{
    static const char *const names[] = {
#define TEXT(name, size) #name,
#define BYTES(name)      #name,
#define NUMBER           BYTES
#define TIME             BYTES
#define RATE             BYTES
#define SHARE            BYTES
#define PRICE            BYTES
#include "runtime/profile.def"
    };

    return names[key];
}

void profile_print(const struct profile *profile, FILE *out)
{
    char value[128];

    for (enum profile_key key = 0; key < PROFILE_KEYS; key++)
        if (profile_format(profile, key, value, sizeof(value)))
            fprintf(out, "%s %s\n", profile_key_name(key), value);
}
