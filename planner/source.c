/* SPDX-License-Identifier: MIT */
/*
 * Room for a head is address space that nobody has touched; it costs as much memory as is read into
 * it, and what was read never moves. That is what lets readers point into it.
 */
#include "planner/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "planner/text.h"
#include "runtime/util.h"

enum {
    STEP = 64 << 10,
};

void source_say(char *error, size_t error_size, const char *path, const char *reason)
{
    char shown[512];

    text_escape(path, strlen(path), shown, sizeof(shown));
    snprintf(error, error_size, "%s: %s", shown, reason);
}

static const char *refusal(const struct stat *status)
{
    if (S_ISREG(status->st_mode))
        return NULL;
    return S_ISDIR(status->st_mode) ? "is a directory" : "is not a regular file";
}

static int open_regular(const char *path, struct stat *status, const char **reason)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int r = 0;

    if (fd < 0 || fstat(fd, status) < 0) {
        r = -errno;
        *reason = strerror(errno);
    } else if (refusal(status)) {
        r = -EINVAL;
        *reason = refusal(status);
    }
    if (r && fd >= 0)
        close(fd);
    return r ? r : fd;
}

/* Address space for as much of the beginning as may be asked for. */
static int reserve(struct source *source)
{
    void *room;

    source->reserved = (size_t)min_u64(source->bytes, SOURCE_MAX_HEAD);
    if (source->reserved == 0)
        return 0;
    room = mmap(NULL, source->reserved, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return -ENOMEM;
    source->head = room;
    return 0;
}

int source_open(const char *path, char *error, size_t error_size, struct source *out)
{
    const char *reason = "out of memory";
    struct stat status;
    int r = open_regular(path, &status, &reason);

    *out = (struct source){.fd = -1};
    if (r >= 0) {
        *out = (struct source){.path = strdup(path),
                               .fd = r,
                               .bytes = (uint64_t)status.st_size,
                               .device = status.st_dev,
                               .inode = status.st_ino};
        r = out->path ? reserve(out) : -ENOMEM;
    }
    if (r) {
        source_say(error, error_size, path, reason);
        source_fini(out);
    }
    return r;
}

int source_fill(struct source *source, uint64_t upto)
{
    if (upto <= source->filled)
        return 0;
    if (upto > source->bytes)
        return -ENODATA;
    if (upto > source->reserved)
        return -EFBIG;
    upto = min_u64(align_up(upto, STEP), source->reserved);
    while (source->filled < upto) {
        ssize_t n = pread(source->fd, source->head + source->filled, upto - source->filled,
                          (off_t)source->filled);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ENODATA;
        source->filled += (size_t)n;
    }
    return 0;
}

/* Gives back the room that was not needed. */
static void trim(struct source *source)
{
    size_t kept = align_up(source->filled, STEP);

    if (!source->head || kept >= source->reserved)
        return;
    if (munmap(source->head + kept, source->reserved - kept) != 0)
        return;
    source->reserved = kept;
    if (kept == 0)
        source->head = NULL;
}

void source_close(struct source *source)
{
    if (source->path && source->fd >= 0)
        close(source->fd);
    source->fd = -1;
    trim(source);
}

void source_fini(struct source *source)
{
    source_close(source);
    free(source->path);
    if (source->head)
        munmap(source->head, source->reserved);
    *source = (struct source){.fd = -1};
}

static int read_all(int fd, uint64_t at, uint8_t *out, size_t size)
{
    while (size) {
        ssize_t n = pread(fd, out, size, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ENODATA;
        out += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

int source_read(const struct source *source, uint64_t at, void *out, size_t size)
{
    const char *reason;
    struct stat status;
    int fd, r;

    if (at > source->bytes || size > source->bytes - at)
        return -ENODATA;
    fd = open_regular(source->path, &status, &reason);
    if (fd < 0)
        return fd;
    if (status.st_dev != source->device || status.st_ino != source->inode ||
        (uint64_t)status.st_size != source->bytes)
        r = -ESTALE;
    else
        r = read_all(fd, at, out, size);
    close(fd);
    return r;
}

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_zero(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i])
            return false;
    return size >= 32;
}

const char *source_guess(const char *path, const void *data, size_t size)
{
    static const struct {
        const char *start, *meaning;
    } known[] = {
        {"version https://git-lfs", "this is a Git LFS pointer; run: git lfs pull"},
        {"<", "this looks like a web page; the download went wrong, get the file again"},
        {"\r\n<", "this looks like a web page; the download went wrong, get the file again"},
        {"\n<", "this looks like a web page; the download went wrong, get the file again"},
        {"{\"error", "this is a server's error message; the download went wrong, get it again"},
        {"FUGG", "this GGUF file was written for a big-endian machine; convert it"},
        {"PK\x03\x04", "this is a zip file, as PyTorch pickles are; they are programs and are not "
                       "read: convert it to safetensors"},
        {"\x80\x02", "this is a Python pickle, which is a program and is not read; convert it to "
                     "safetensors"},
        {"\x80\x03", "this is a Python pickle, which is a program and is not read; convert it to "
                     "safetensors"},
        {"\x80\x04", "this is a Python pickle, which is a program and is not read; convert it to "
                     "safetensors"},
        {"\x80\x05", "this is a Python pickle, which is a program and is not read; convert it to "
                     "safetensors"},
        {"lmgg", "this is a GGML file, older than GGUF; convert it"},
        {"tjgg", "this is a GGJT file, older than GGUF; convert it"},
        {"\x1f\x8b", "this is a gzip file; unpack it"},
        {"\x28\xb5\x2f\xfd", "this is a zstd file; unpack it"},
        {"7z\xbc\xaf", "this is a 7z archive; unpack it"},
        {"\x89HDF", "this is an HDF5 file, as Keras writes; it is not read"},
    };
    static const char *const unfinished[] = {".incomplete", ".part",     ".crdownload",
                                             ".aria2",      ".download", ".tmp"};

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        size_t n = strlen(known[i].start);

        if (size >= n && memcmp(data, known[i].start, n) == 0)
            return known[i].meaning;
    }
    for (size_t i = 0; i < ARRAY_SIZE(unfinished); i++)
        if (ends(path, unfinished[i]))
            return "this is a download that is not finished; wait for it, or start it again";
    if (is_zero(data, min_u64(size, 64)))
        return "it begins with zeros, as a download does that never got its data; get it again";
    return NULL;
}
