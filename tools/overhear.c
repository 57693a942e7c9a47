/* SPDX-License-Identifier: MIT */
/* A sign may lie across two pieces of what is read, so the end of one is looked at with the next.
 */
#include "tools/overhear.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PIECE = 8192,
    OVERLAP = 256,    /* bytes; longer than any clue */
    LOOK_MS = 100,    /* between looks whether the child is still there */
    PIECES_LEFT = 16, /* as much as a pipe holds, twice: more is said by others */
};

struct ear {
    int pipe;
    char text[OVERLAP + PIECE];
    size_t kept;
    struct signs *signs;
};

static void pass_on(const char *text, size_t n)
{
    while (n) {
        ssize_t written = write(STDERR_FILENO, text, n);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return;
        text += written;
        n -= (size_t)written;
    }
}

/* One piece; false at the end. */
static bool take_piece(struct ear *ear)
{
    ssize_t n = read(ear->pipe, ear->text + ear->kept, PIECE);
    size_t all;

    if (n < 0)
        return errno == EINTR;
    if (n == 0)
        return false;
    pass_on(ear->text + ear->kept, (size_t)n);
    all = ear->kept + (size_t)n;
    signs_read_text(SIGN_OUTPUT, ear->text, all, ear->signs);
    ear->kept = all < OVERLAP ? all : OVERLAP;
    memmove(ear->text, ear->text + all - ear->kept, ear->kept);
    return true;
}

int overhear(int pipe, pid_t child, struct signs *signs)
{
    struct ear ear = {.pipe = pipe, .signs = signs};
    bool gone = false, open = true;
    int status = 0, left = PIECES_LEFT;

    while (open && left) {
        struct pollfd end = {.fd = pipe, .events = POLLIN};
        int ready = poll(&end, 1, gone ? 0 : LOOK_MS);

        if (ready > 0)
            open = take_piece(&ear);
        else if (ready == 0 && gone)
            break;
        if (gone)
            left--;
        else
            gone = waitpid(child, &status, WNOHANG) == child;
    }
    while (!gone && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}
