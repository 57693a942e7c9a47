/* SPDX-License-Identifier: MIT */
#include "tools/evidence.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/file.h"
#include "runtime/util.h"
#include "tools/executable.h"

enum {
    SCRIPT_MAX = 1 << 20, /* bytes that are looked at */
};

static void read_script(const char *path, struct signs *signs)
{
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    char *text = malloc(SCRIPT_MAX);
    struct stat file;
    size_t n = 0;

    if (fd >= 0 && text && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) &&
        file_read(fd, text, SCRIPT_MAX, &n) == 0)
        signs_read_text(SIGN_SCRIPT, text, n, signs);
    if (fd >= 0)
        close(fd);
    free(text);
}

/* python3 -c TEXT */
static void read_inline(char *const *command, struct signs *signs)
{
    for (; command[0] && command[1]; command++)
        if (strcmp(command[0], "-c") == 0)
            signs_read_text(SIGN_SCRIPT, command[1], strlen(command[1]), signs);
}

void evidence_gather(char *const *command, struct trap_facts *out)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
    struct executable file = {.is_static = false};

    out->library = out->here = true;
    signs_read_environment(environ, &out->signs);
    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    out->lockable = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
    if (!*command)
        return;
    signs_read_command(command, &out->signs);
    read_script(signs_script(command), &out->signs);
    read_inline(command, &out->signs);
    executable_look(*command, &file);
    out->is_static = file.is_static;
    out->musl = file.musl;
    out->privileged = file.privileged;
    out->program = out->signs.program;
}
