/* SPDX-License-Identifier: MIT */
/*
 * Nothing in the file is believed further than it reaches: it is read at the places that it names
 * itself, as many bytes as there is room for.
 */
#include "tools/executable.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    SEGMENTS_MAX = 64,
};

static int open_program(const char *path)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd >= 0 && (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || !(file.st_mode & 0111))) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The first of that name in the folders of PATH. */
static int find_program(const char *command)
{
    const char *at = getenv("PATH");
    int fd = -1;

    if (strchr(command, '/'))
        return open_program(command);
    for (at = at ? at : ""; *at && fd < 0;) {
        char path[PATH_MAX];
        size_t n = strcspn(at, ":");

        snprintf(path, sizeof(path), "%.*s%s%s", (int)n, at, n ? "/" : "./", command);
        fd = open_program(path);
        at += n + (at[n] == ':');
    }
    return fd;
}

static bool gains_privileges(int fd)
{
    struct stat file;

    if (fstat(fd, &file) != 0)
        return false;
    if ((file.st_mode & S_ISUID && file.st_uid != getuid()) ||
        (file.st_mode & S_ISGID && file.st_gid != getgid()))
        return true;
    return getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

static void look_at_loader(int fd, const Elf64_Phdr *segment, struct executable *out)
{
    char name[128] = "";
    size_t n = segment->p_filesz < sizeof(name) ? segment->p_filesz : sizeof(name) - 1;

    out->is_static = false;
    if (pread(fd, name, n, (off_t)segment->p_offset) == (ssize_t)n)
        out->musl = strstr(name, "/ld-musl-") != NULL;
}

static void look_at_segments(int fd, struct executable *out)
{
    Elf64_Ehdr head;
    Elf64_Phdr segment;

    if (pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
        head.e_phentsize != sizeof(segment) || head.e_phnum > SEGMENTS_MAX)
        return;
    out->is_static = true;
    for (size_t i = 0; i < head.e_phnum; i++)
        if (pread(fd, &segment, sizeof(segment), (off_t)(head.e_phoff + i * sizeof(segment))) ==
                sizeof(segment) &&
            segment.p_type == PT_INTERP)
            look_at_loader(fd, &segment, out);
}

void executable_look(const char *command, struct executable *out)
{
    int fd = find_program(command);

    *out = (struct executable){.is_static = false};
    if (fd < 0)
        return;
    out->privileged = gains_privileges(fd);
    look_at_segments(fd, out);
    close(fd);
}
