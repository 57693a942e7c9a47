/* SPDX-License-Identifier: MIT */
/*
 * The kernel's ring itself, the file that a log daemon keeps of it, or the journal: the first that
 * may be read. The ring gives a record a read and has no end, so it is read without waiting.
 */
#include "tools/kernel_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"

static const char *const files[] = {"/dev/kmsg", "/var/log/kern.log", "/var/log/messages"};
static const char journal[] = "journalctl --dmesg --quiet --no-pager --output=cat 2>/dev/null";
static const char mark[] = "NVRM: Xid (PCI:";

struct reader {
    const char *slot;
    void (*take)(const struct xid *xid, void *context);
    void *context;
    char line[1024];
    size_t n;
};

/* "0000:01:00" of 0000:01:00.0: the log leaves the function out, or names it. */
static bool is_of(const char *at, const char *slot)
{
    size_t n = strcspn(slot, ".");

    return !n || (strncasecmp(at, slot, n) == 0 && (at[n] == ')' || at[n] == '.'));
}

static void end_line(struct reader *reader)
{
    struct xid xid;
    char *at, *number;

    reader->line[reader->n] = '\0';
    reader->n = 0;
    at = strstr(reader->line, mark);
    number = at && is_of(at + strlen(mark), reader->slot) ? strstr(at, "): ") : NULL;
    if (!number || sscanf(number, "): %u", &xid.number) != 1)
        return;
    xid.line = at;
    reader->take(&xid, reader->context);
}

static void feed(struct reader *reader, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n')
            end_line(reader);
        else if (reader->n < sizeof(reader->line) - 1)
            reader->line[reader->n++] = text[i];
    }
}

static int read_file(const char *path, struct reader *reader)
{
    char text[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n;

    if (fd < 0)
        return -errno;
    /* EPIPE: records were overwritten before they were read; those that are left follow. */
    while ((n = read(fd, text, sizeof(text))) > 0 || (n < 0 && (errno == EPIPE || errno == EINTR)))
        feed(reader, text, n > 0 ? (size_t)n : 0);
    close(fd);
    return n < 0 && errno != EAGAIN ? -errno : 0;
}

static int read_journal(struct reader *reader)
{
    char text[8192];
    FILE *pipe = popen(journal, "re");
    bool any = false;
    size_t n;

    if (!pipe)
        return -errno;
    while ((n = fread(text, 1, sizeof(text), pipe)) > 0) {
        feed(reader, text, n);
        any = true;
    }
    return pclose(pipe) == 0 && any ? 0 : -ENOENT;
}

int kernel_log_read(const char *root, const char *slot,
                    void (*take)(const struct xid *xid, void *context), void *context, char *why,
                    size_t size)
{
    struct reader reader = {.slot = slot, .take = take, .context = context};
    int first = 0;

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char path[PATH_MAX];
        int r;

        snprintf(path, sizeof(path), "%s%s", root, files[i]);
        r = read_file(path, &reader);
        if (r == 0)
            return 0;
        first = first ? first : r;
    }
    if (read_journal(&reader) == 0)
        return 0;
    snprintf(why, size, "the kernel's log cannot be read: %s%s: %s", root, files[0],
             strerror(-first));
    return -ENOENT;
}
