/* SPDX-License-Identifier: MIT */
#include "runtime/fields.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime/file.h"

void fields_say(char *error, size_t error_size, const char *name, unsigned int number,
                const char *what)
{
    if (number)
        snprintf(error, error_size, "%s:%u: %s", name, number, what);
    else
        snprintf(error, error_size, "%s: %s", name, what);
    for (char *at = error; *at; at++)
        *at = iscntrl((unsigned char)*at) ? '?' : *at;
}

static int complain(int r, char *error, size_t size, const char *name, const char *what)
{
    fields_say(error, size, name, 0, what);
    return r;
}

/* Why the file is not to be believed, or NULL. */
static const char *doubt(const struct stat *status)
{
    if (!S_ISREG(status->st_mode))
        return "not a regular file";
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return "it belongs to another user";
    if (status->st_mode & S_IWOTH)
        return "everybody may write it; chmod o-w makes it yours alone";
    if (status->st_size > FIELDS_FILE_MAX)
        return "longer than any such file is";
    return NULL;
}

int fields_load(const char *path, char *error, size_t error_size, char **out, size_t *out_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const char *why;
    struct stat status;
    char *bytes;
    int r;

    if (fd < 0)
        return complain(-errno, error, error_size, path, strerror(errno));
    r = fstat(fd, &status) ? -errno : 0;
    why = r ? strerror(-r) : doubt(&status);
    if (why) {
        close(fd);
        return complain(r ? r : -EACCES, error, error_size, path, why);
    }
    bytes = malloc((size_t)status.st_size + 1);
    r = bytes ? file_read(fd, bytes, (size_t)status.st_size, out_size) : -ENOMEM;
    close(fd);
    if (r) {
        free(bytes);
        return complain(r, error, error_size, path, strerror(-r));
    }
    *out = bytes;
    return 0;
}

static bool is_text(const struct fields *line)
{
    for (const char *at = line->at; at < line->end; at++) {
        if (*at < ' ' || *at > '~')
            return false;
    }
    return line->end - line->at <= FIELDS_LINE_MAX;
}

bool lines_next(struct lines *lines, struct fields *out, bool *out_bad)
{
    while (lines->at < lines->end) {
        const char *end = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
        struct fields line = {lines->at, end ? end : lines->end};

        lines->at = end ? end + 1 : lines->end;
        lines->number++;
        if (line.at == line.end || *line.at == '#')
            continue;
        *out_bad = !is_text(&line);
        *out = line;
        return true;
    }
    return false;
}

/* The next field without the spaces before it; empty when there is none. */
static struct fields next(const struct fields *fields)
{
    struct fields field = *fields;

    while (field.at < fields->end && *field.at == ' ')
        field.at++;
    field.end = field.at;
    while (field.end < fields->end && *field.end != ' ')
        field.end++;
    return field;
}

static bool equals(const struct fields *field, const char *word)
{
    size_t n = strlen(word);

    return (size_t)(field->end - field->at) == n && memcmp(field->at, word, n) == 0;
}

bool fields_word(struct fields *fields, const char *word)
{
    struct fields field = next(fields);

    if (!equals(&field, word))
        return false;
    fields->at = field.end;
    return true;
}

/* In one way only: no sign, no zeros in front. */
bool fields_number(struct fields *fields, uint64_t *out)
{
    struct fields field = next(fields);
    uint64_t value = 0;

    if (field.at == field.end || (*field.at == '0' && field.end - field.at > 1))
        return false;
    for (const char *at = field.at; at < field.end; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    }
    fields->at = field.end;
    *out = value;
    return true;
}

/* -1 for none. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool fields_mark(struct fields *fields, uint64_t *out)
{
    struct fields field = next(fields);
    uint64_t value = 0;

    if (!equals(&field, "-")) {
        if (field.end - field.at != 16)
            return false;
        for (const char *at = field.at; at < field.end; at++) {
            if (digit(*at) < 0)
                return false;
            value = value << 4 | (uint64_t)digit(*at);
        }
        if (!value)
            return false;
    }
    fields->at = field.end;
    *out = value;
    return true;
}

/* One character of a text, decoded; -1 when it is none. */
static int character(const char **at, const char *end)
{
    int high, low;

    if (**at != '\\')
        return *(*at)++;
    if (end - *at < 4 || (*at)[1] != 'x')
        return -1;
    high = digit((*at)[2]);
    low = digit((*at)[3]);
    *at += 4;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool fields_text(struct fields *fields, char out[FIELDS_TEXT_MAX + 1])
{
    const char *at = next(fields).at;
    size_t n = 0;

    if (at == fields->end || *at++ != '"')
        return false;
    while (at < fields->end && *at != '"') {
        int c = character(&at, fields->end);

        if (c <= 0 || n == FIELDS_TEXT_MAX)
            return false;
        out[n++] = (char)c;
    }
    if (at == fields->end || (at + 1 < fields->end && at[1] != ' '))
        return false;
    out[n] = '\0';
    fields->at = at + 1;
    return true;
}

bool fields_choice(struct fields *fields, const char *const *words, size_t n, size_t *out)
{
    for (size_t i = 0; i < n; i++) {
        if (fields_word(fields, words[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

bool fields_end(struct fields *fields)
{
    struct fields field = next(fields);

    return field.at == field.end;
}

void fields_put_mark(FILE *out, uint64_t mark)
{
    if (mark)
        fprintf(out, "%016" PRIx64, mark);
    else
        fputc('-', out);
}

void fields_put_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
            fprintf(out, "\\x%02x", (unsigned char)*text);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}
