/* SPDX-License-Identifier: MIT */
/*
 * The library's debug messages go to files of one folder, a file a process, and name each call of
 * the driver that the program looks up, by dlsym() or cuGetProcAddress(). Calls of programs that
 * are linked with the driver are bound by the loader and not seen; the runtime library and every
 * framework look theirs up.
 */
#include "tools/listen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tools/overhear.h"
#include "tools/preload.h"

enum {
    CALLS_MAX = 4096,
    NAME_BYTES = 64,
};

static const char *const known_calls[] = {
#define HOOK(symbol, since, twin, params, args) #symbol,
#define GATE                                    HOOK
#define REAL                                    HOOK
#define PASS                                    HOOK
#include "runtime/driver_calls.def"
};

struct call {
    char name[NAME_BYTES];
    bool ours;
};

struct calls {
    struct call list[CALLS_MAX];
    unsigned int n;
};

/* A name without its version and stream mode: cuMemAlloc of cuMemAlloc_v2_ptds. */
static size_t base_length(const char *name)
{
    const char *end = strchr(name, '_');

    return end ? (size_t)(end - name) : strlen(name);
}

static bool is_known(const char *name)
{
    size_t n = base_length(name);

    for (size_t i = 0; i < ARRAY_SIZE(known_calls); i++)
        if (base_length(known_calls[i]) == n && memcmp(known_calls[i], name, n) == 0)
            return true;
    return false;
}

static void note_call(struct calls *calls, const char *name, bool ours)
{
    for (unsigned int i = 0; i < calls->n; i++)
        if (strcmp(calls->list[i].name, name) == 0)
            return;
    if (calls->n == CALLS_MAX)
        return;
    snprintf(calls->list[calls->n].name, NAME_BYTES, "%s", name);
    calls->list[calls->n++].ours = ours;
}

/* One message of the library. The words are those of interpose/route.c and runtime/card.c. */
static bool hear_line(const char *line, struct calls *calls, struct heard *out)
{
    char name[NAME_BYTES], whose[16];
    const char *warning = strstr(line, "vramshim: warning: ");
    const char *at = strstr(line, "the program asks for ");

    if (strstr(line, "vramshim: error: "))
        warning = line;
    if (warning && !*out->complaint)
        snprintf(out->complaint, sizeof(out->complaint), "%.*s", (int)strcspn(line, "\n"),
                 line + strlen("vramshim: "));
    if (strstr(line, ": paging, device budget "))
        out->paged = true;
    if (!at ||
        sscanf(at, "the program asks for %63[A-Za-z0-9_], which is %15[a-z']", name, whose) != 2)
        return false;
    note_call(calls, name, strcmp(whose, "ours") == 0);
    return true;
}

static void hear_file(const char *path, struct calls *calls, struct heard *out)
{
    FILE *file = fopen(path, "re");
    char line[1024];
    bool asked = false;

    while (file && fgets(line, sizeof(line), file))
        asked |= hear_line(line, calls, out);
    if (file)
        fclose(file);
    out->processes += asked;
}

/* Every file of the folder, which goes. */
static void hear_folder(const char *folder, struct calls *calls, struct heard *out)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;

    while (entries && (entry = readdir(entries))) {
        char path[PATH_MAX];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        hear_file(path, calls, out);
        unlink(path);
    }
    if (entries)
        closedir(entries);
    rmdir(folder);
}

static void count_calls(const struct calls *calls, struct heard *out)
{
    size_t used = 0;

    for (unsigned int i = 0; i < calls->n; i++) {
        const struct call *call = &calls->list[i];

        out->ours += call->ours;
        out->known += !call->ours && is_known(call->name);
        if (call->ours || is_known(call->name))
            continue;
        out->unknown++;
        if (used + strlen(call->name) + 3 < sizeof(out->names))
            used += (size_t)sprintf(out->names + used, "%s%s", used ? ", " : "", call->name);
    }
}

static void become_program(const char *library, const char *pattern, char **command, int said)
{
    if (preload_set(library) || setenv("VRAMSHIM_LOG", "debug", 1) ||
        setenv("VRAMSHIM_LOG_FILE", pattern, 1) || dup2(said, STDOUT_FILENO) < 0 ||
        dup2(said, STDERR_FILENO) < 0)
        _exit(127);
    execvp(command[0], command);
    fprintf(stderr, "vramshim: cannot run %s: %s\n", command[0], strerror(errno));
    _exit(127);
}

/* Its status, as wait(2) has it, or -errno. */
static int run(const char *library, const char *pattern, char **command, struct signs *signs)
{
    int said[2], status;
    pid_t child;

    if (pipe2(said, O_CLOEXEC) != 0)
        return -errno;
    child = fork();
    if (child == 0)
        become_program(library, pattern, command, said[1]);
    status = child < 0 ? -errno : 0;
    close(said[1]);
    if (!status)
        status = overhear(said[0], child, signs);
    close(said[0]);
    return status;
}

void listen_to_program(const char *library, char **command, struct signs *signs, struct heard *out)
{
    const char *temporary = getenv("TMPDIR");
    char folder[128], pattern[160];
    struct calls *calls = calloc(1, sizeof(*calls));

    memset(out, 0, sizeof(*out));
    out->ran = true;
    snprintf(folder, sizeof(folder), "%s/vramshim-XXXXXX",
             temporary && *temporary ? temporary : "/tmp");
    if (!calls || !mkdtemp(folder)) {
        snprintf(out->error, sizeof(out->error), "no folder for messages: %s", strerror(errno));
        free(calls);
        return;
    }
    snprintf(pattern, sizeof(pattern), "%s/%%p", folder);
    out->status = run(library, pattern, command, signs);
    if (out->status < 0)
        snprintf(out->error, sizeof(out->error), "no process: %s", strerror(-out->status));
    hear_folder(folder, calls, out);
    count_calls(calls, out);
    free(calls);
}
