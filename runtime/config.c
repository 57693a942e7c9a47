/* SPDX-License-Identifier: MIT */
/*
 * Settings: the rows of settings.def against an environment.
 *
 * Everything here walks one table. A value that does not parse is replaced by the default and
 * answered by one warning; the log is set up from its own two settings before any warning is
 * written, so that they go where the user asked for. Nothing is allocated.
 */
#include "runtime/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/config_types.h"
#include "runtime/nearest.h"
#include "runtime/quiet.h"
#include "runtime/util.h"

#define PREFIX "VRAMSHIM_"

static const struct setting settings[] = {
#define SETTING(field, name, type, fallback, help)                                                 \
    {name, fallback, help, &config_type_##type, offsetof(struct config, field)},
#include "runtime/settings.def"
};

/* The value of a variable, or NULL; the first one counts, as for getenv(). */
static const char *lookup(char *const *environment, const char *name)
{
    size_t n = strlen(name);

    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
            return *environment + n + 1;
    return NULL;
}

static void *field_of(struct config *config, const struct setting *setting)
{
    return (char *)config + setting->offset;
}

/* True when the value came from the environment. */
static bool load_one(struct config *config, const struct setting *setting, char *const *environment)
{
    const char *text = lookup(environment, setting->name);
    void *field = field_of(config, setting);

    if (text && setting->type->parse(text, field))
        return true;
    setting->type->parse(setting->fallback, field);
    return false;
}

static void warn_bad_value(const struct setting *setting, const char *text)
{
    const char *const *words = setting->type->words;
    const char *hint = NULL;
    size_t n = 0;

    while (words && words[n])
        n++;
    if (n)
        hint = nearest_choice(text, words, n);
    if (hint && nearest_distance(text, hint) > strlen(hint) / 2)
        hint = NULL;
    log_warn("%s \"%.64s\" is not %s%s%s; using the default %s", setting->name, text,
             setting->type->accepts, hint ? "; the nearest is " : "", hint ? hint : "",
             setting->fallback[0] ? setting->fallback : "(empty)");
}

static const struct setting *find_setting(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        if (strlen(settings[i].name) == n && memcmp(settings[i].name, name, n) == 0)
            return &settings[i];
    return NULL;
}

static void warn_unknown(const char *entry)
{
    const char *names[ARRAY_SIZE(settings)];
    char name[NEAREST_MAX + 1];

    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        names[i] = settings[i].name;
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(entry, "="), entry);
    log_warn("no setting is called %s; the nearest is %s; ignoring it", name,
             nearest_choice(name, names, ARRAY_SIZE(names)));
}

static void warn_of_strangers(char *const *environment)
{
    for (; environment && *environment; environment++)
        if (strncmp(*environment, PREFIX, strlen(PREFIX)) == 0 &&
            !find_setting(*environment, strcspn(*environment, "=")))
            warn_unknown(*environment);
}

void config_load(struct config *out, char *const *environment)
{
    bool loaded[ARRAY_SIZE(settings)];

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        loaded[i] = load_one(out, &settings[i], environment);
    log_setup(out->log, out->log_file.name);

    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        const char *text = lookup(environment, settings[i].name);

        if (text && !loaded[i])
            warn_bad_value(&settings[i], text);
    }
    warn_of_strangers(environment);
}

uint64_t amount_resolve(struct amount amount, uint64_t available, uint64_t total)
{
    uint64_t bytes = amount.value;

    if (amount.percent)
        bytes = (unsigned __int128)total * amount.value / 10000;
    if (!amount.leave_free)
        return min_u64(bytes, available);
    return available > bytes ? available - bytes : 0;
}

const struct setting *config_setting(size_t index)
{
    return index < ARRAY_SIZE(settings) ? &settings[index] : NULL;
}

bool config_accepts(const struct setting *setting, const char *text)
{
    struct config scratch;

    return setting->type->parse(text, field_of(&scratch, setting));
}

const char *config_describes(const struct setting *setting)
{
    return setting->type->accepts;
}

bool config_is_switch(const struct setting *setting)
{
    return setting->type == &config_type_BOOL;
}

/* One line, one write. */
static void put_line(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_line(int fd, const char *format, ...)
{
    char line[768];
    va_list args;
    size_t used;

    va_start(args, format);
    vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    used = strlen(line);
    line[used++] = '\n';
    quiet_write(fd, line, used);
}

void config_print(int fd, const struct config *config, char *const *environment)
{
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        const struct setting *setting = &settings[i];
        const char *text = lookup(environment, setting->name);
        char value[sizeof(config_PATH)];

        setting->type->format((const char *)config + setting->offset, value, sizeof(value));
        put_line(fd, "vramshim: %s %s (%s)", setting->name, value[0] ? value : "\"\"",
                 text && config_accepts(setting, text) ? "environment" : "default");
    }
}

void config_print_table(int fd)
{
    put_line(fd, "| variable | default | value | meaning |");
    put_line(fd, "|---|---|---|---|");
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        const struct setting *setting = &settings[i];
        const char *quote = setting->fallback[0] ? "`" : "";

        put_line(fd, "| `%s` | %s%s%s | %s | %s |", setting->name, quote,
                 setting->fallback[0] ? setting->fallback : "(empty)", quote,
                 setting->type->accepts, setting->help);
    }
}
