/* SPDX-License-Identifier: MIT */
#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int file_read(int fd, void *out, size_t size, size_t *out_got)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = read(fd, (char *)out + got, size - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *out_got = got;
    return 0;
}

bool file_is_direct(const char *path, int flags)
{
    int fd = open(path, flags | O_DIRECT | O_CLOEXEC | O_NONBLOCK, 0600);

    if (fd < 0)
        return errno != EINVAL;
    close(fd);
    return true;
}
