/* SPDX-License-Identifier: MIT */
#include "planner/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the links lead; of what is not there yet, the name as it is. */
static char *follow(const char *path)
{
    char *end = realpath(path, NULL);

    return end || errno != ENOENT ? end : strdup(path);
}

/* A link that somebody else has laid where all may write leads where he wants: kernels do not
 * follow it either, if they are asked not to (fs.protected_symlinks). */
static bool is_trap(const char *path)
{
    enum {
        FOR_ALL = S_ISVTX | S_IWOTH,
    };
    struct stat link, folder;
    const char *slash = strrchr(path, '/');
    char *parent;
    bool told;

    if (lstat(path, &link) != 0 || !S_ISLNK(link.st_mode) || link.st_uid == geteuid())
        return false;
    parent = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    told = parent && stat(parent, &folder) == 0;
    free(parent);
    return !told || ((folder.st_mode & FOR_ALL) == FOR_ALL && folder.st_uid != link.st_uid);
}

static int open_beside(struct outfile *file, mode_t mode)
{
    int fd = -1;

    if (asprintf(&file->beside, "%s.XXXXXX", file->path) < 0) {
        file->beside = NULL;
        errno = ENOMEM;
        return -1;
    }
    fd = mkstemp(file->beside);
    if (fd < 0) {
        free(file->beside);
        file->beside = NULL;
    } else {
        (void)fchmod(fd, mode);
    }
    return fd;
}

int outfile_open(const char *path, mode_t mode, struct outfile *out)
{
    struct stat stat_now;
    struct outfile file = {.stream = NULL};
    int fd = -1, error;

    if (is_trap(path))
        return -EACCES;
    if (stat(path, &stat_now) == 0 && !S_ISREG(stat_now.st_mode)) {
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    } else {
        file.path = follow(path);
        fd = file.path ? open_beside(&file, mode) : -1;
    }
    if (fd >= 0)
        file.stream = fdopen(fd, "w");
    if (file.stream) {
        *out = file;
        return 0;
    }
    error = errno;
    if (fd >= 0)
        close(fd);
    if (file.beside)
        unlink(file.beside);
    free(file.beside);
    free(file.path);
    return -error;
}

int outfile_end(struct outfile *file, int r)
{
    if (ferror(file->stream) && !r)
        r = -EIO;
    if (fclose(file->stream) && !r)
        r = -errno;
    if (!r && file->beside && rename(file->beside, file->path))
        r = -errno;
    if (r && file->beside)
        unlink(file->beside);
    free(file->beside);
    free(file->path);
    return r;
}
