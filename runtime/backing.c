/* SPDX-License-Identifier: MIT */
/*
 * Which file a mapping is of is read from /proc/self/maps, and the file opened anew by its name; it
 * is taken when it is the one that was mapped. The mappings that were looked at last are
 * remembered: should one of them have become another meanwhile, the comparison will find it.
 *
 * Files are read through the page cache: their offsets are not aligned as direct reads want them.
 */
#include "runtime/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "runtime/checksum.h"
#include "runtime/log.h"
#include "runtime/util.h"

enum {
    FILES_MAX = 64,
    UPLOADS_MAX = 1 << 20,
    REMEMBERED = 4,
    REST_MOST = 64 << 10, /* bytes of a page that are in no file */
    NO_FILE = FILES_MAX,
};

static struct file {
    dev_t device;
    ino_t inode;
    int fd;
    char name[256];
} files[FILES_MAX];
static uint32_t n_files;

struct mapping {
    uint64_t from, to;
    uint64_t offset;
    uint32_t file; /* NO_FILE: none that is read only */
};
static struct mapping remembered[REMEMBERED];
static uint32_t next_remembered;

struct part {
    uint64_t at; /* in the page */
    uint64_t bytes;
    uint64_t offset;
    uint32_t file; /* NO_FILE: they are at offset of `rest` */
};

struct page {
    uint64_t checksum;
    uint64_t bytes;
    uint32_t n;
    struct part *parts;
    char *rest;
};
static struct page **pages;
static uint32_t n_pages;

static uint32_t file_of(const char *name, dev_t device, ino_t inode)
{
    struct stat st;
    int fd;

    for (uint32_t i = 0; i < n_files; i++) {
        if (files[i].device == device && files[i].inode == inode)
            return i;
    }
    if (n_files == FILES_MAX || strlen(name) >= sizeof(files[0].name))
        return NO_FILE;
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NO_FILE;
    if (fstat(fd, &st) || st.st_ino != inode || st.st_dev != device || !S_ISREG(st.st_mode)) {
        close(fd);
        return NO_FILE;
    }
    files[n_files] = (struct file){.device = device, .inode = inode, .fd = fd};
    strcpy(files[n_files].name, name);
    return n_files++;
}

/* A line of /proc/self/maps. */
static bool parse_mapping(const char *line, uint64_t address, struct mapping *out)
{
    unsigned long long from, to, offset, inode;
    unsigned int major_number, minor_number;
    char name[256] = "";
    char access[5];

    if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %255[^\n]", &from, &to, access, &offset,
               &major_number, &minor_number, &inode, name) < 7 ||
        address < from || address >= to)
        return false;
    *out = (struct mapping){.from = from, .to = to, .offset = offset, .file = NO_FILE};
    if (access[0] == 'r' && access[1] != 'w' && inode && name[0] == '/')
        out->file = file_of(name, makedev(major_number, minor_number), inode);
    return true;
}

static const struct mapping *mapping_of(uint64_t address)
{
    struct mapping *found = NULL;
    char line[512];
    FILE *maps;

    for (uint32_t i = 0; i < REMEMBERED; i++) {
        if (address >= remembered[i].from && address < remembered[i].to)
            return &remembered[i];
    }
    maps = fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof(line), maps)) {
        if (parse_mapping(line, address, &remembered[next_remembered])) {
            found = &remembered[next_remembered];
            next_remembered = (next_remembered + 1) % REMEMBERED;
        }
    }
    if (maps)
        fclose(maps);
    return found;
}

static void add_upload(struct backing_uploads *uploads, const struct backing_upload *upload)
{
    if (upload->file == NO_FILE || uploads->n == UPLOADS_MAX)
        return;
    if (uploads->n == uploads->capacity) {
        uint32_t capacity = uploads->capacity ? 2 * uploads->capacity : 64;
        struct backing_upload *grown = realloc(uploads->all, capacity * sizeof(*grown));

        if (!grown)
            return;
        uploads->all = grown;
        uploads->capacity = capacity;
    }
    uploads->all[uploads->n++] = *upload;
}

void backing_note(struct backing_uploads *uploads, uint64_t at, const void *from, uint64_t bytes)
{
    uint64_t address = (uint64_t)(uintptr_t)from;
    const struct mapping *mapping = mapping_of(address);

    if (!mapping || bytes > mapping->to - address)
        return;
    add_upload(uploads, &(struct backing_upload){
                            .at = at,
                            .bytes = bytes,
                            .offset = mapping->offset + (address - mapping->from),
                            .file = mapping->file,
                        });
}

void backing_note_file(struct backing_uploads *uploads, uint64_t at, uint64_t bytes, int fd,
                       uint64_t offset)
{
    const struct backing_upload *last = uploads->n ? &uploads->all[uploads->n - 1] : NULL;
    char name[32];
    struct stat st;

    if ((last && last->at == at && last->bytes >= bytes) || fstat(fd, &st))
        return;
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    add_upload(uploads, &(struct backing_upload){
                            .at = at,
                            .bytes = bytes,
                            .offset = offset,
                            .file = file_of(name, st.st_dev, st.st_ino),
                        });
}

static int by_place(const void *left, const void *right)
{
    const struct part *a = left;
    const struct part *b = right;

    return a->at < b->at ? -1 : a->at > b->at;
}

/* What of the page was uploaded, in order; what was uploaded later counts where two overlap only if
 * it begins there, for a page is compared in the end. */
static struct part *parts_of(const struct backing_uploads *uploads, uint64_t at, uint64_t n,
                             uint32_t *out_n)
{
    struct part *parts = calloc(2 * (size_t)uploads->n + 1, sizeof(*parts));
    uint32_t found = 0;

    for (uint32_t i = 0; parts && i < uploads->n; i++) {
        const struct backing_upload *upload = &uploads->all[i];
        uint64_t from = max_u64(upload->at, at);
        uint64_t to = min_u64(upload->at + upload->bytes, at + n);

        if (from < to)
            parts[found++] = (struct part){.at = from - at,
                                           .bytes = to - from,
                                           .offset = upload->offset + (from - upload->at),
                                           .file = upload->file};
    }
    if (parts)
        qsort(parts, found, sizeof(*parts), by_place);
    *out_n = found;
    return parts;
}

static void page_free(struct page *page)
{
    if (!page)
        return;
    free(page->parts);
    free(page->rest);
    free(page);
}

/* Puts what no file holds between the parts. False when it is too much. */
static bool fill_gaps(struct page *page, const char *bytes, struct part *found, uint32_t n_found)
{
    uint64_t reached = 0;
    uint64_t rest = 0;

    page->rest = malloc(REST_MOST);
    page->parts = calloc(2 * (size_t)n_found + 1, sizeof(*page->parts));
    for (uint32_t i = 0; i <= n_found && page->rest && page->parts; i++) {
        uint64_t begin = i < n_found ? found[i].at : page->bytes;

        if (begin > reached) {
            if (rest + begin - reached > REST_MOST)
                return false;
            memcpy(page->rest + rest, bytes + reached, begin - reached);
            page->parts[page->n++] = (struct part){reached, begin - reached, rest, NO_FILE};
            rest += begin - reached;
        }
        if (i == n_found || found[i].at + found[i].bytes <= reached)
            continue;
        page->parts[page->n] = found[i];
        if (begin < reached) {
            page->parts[page->n].at += reached - begin;
            page->parts[page->n].bytes -= reached - begin;
            page->parts[page->n].offset += reached - begin;
        }
        reached = found[i].at + found[i].bytes;
        page->n++;
    }
    return page->rest && page->parts;
}

static int read_part(const struct page *page, const struct part *part, char *buffer)
{
    uint64_t done = 0;

    if (part->file == NO_FILE) {
        memcpy(buffer + part->at, page->rest + part->offset, part->bytes);
        return 0;
    }
    while (done < part->bytes) {
        ssize_t n = pread(files[part->file].fd, buffer + part->at + done, part->bytes - done,
                          (off_t)(part->offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            log_error("cannot read %llu bytes of %s at offset %llu: %s; what needs them fails",
                      (unsigned long long)part->bytes, files[part->file].name,
                      (unsigned long long)part->offset, n ? strerror(errno) : "the file ends");
            return -EIO;
        }
        done += (uint64_t)n;
    }
    return 0;
}

static int read_parts(const struct page *page, char *buffer)
{
    int r = 0;

    for (uint32_t i = 0; i < page->n && !r; i++)
        r = read_part(page, &page->parts[i], buffer);
    return r;
}

static bool add_page(struct page *page, uint32_t *out)
{
    struct page **grown;
    uint32_t i = 0;

    while (i < n_pages && pages[i])
        i++;
    if (i == n_pages) {
        grown = realloc(pages, (n_pages + 1) * sizeof(struct page *));
        if (!grown)
            return false;
        pages = grown;
        n_pages++;
    }
    pages[i] = page;
    *out = i | (uint32_t)BACKING_FLAG;
    return true;
}

bool backing_make(const struct backing_uploads *uploads, uint64_t at, const void *bytes, uint64_t n,
                  uint64_t checksum, void *scratch, uint32_t *out)
{
    uint32_t n_found = 0;
    struct part *found = uploads->n ? parts_of(uploads, at, n, &n_found) : NULL;
    struct page *page = n_found ? calloc(1, sizeof(*page)) : NULL;
    bool made = false;

    if (page) {
        *page = (struct page){.checksum = checksum, .bytes = n};
        made = fill_gaps(page, bytes, found, n_found) && !read_parts(page, scratch) &&
               memcmp(scratch, bytes, n) == 0 && add_page(page, out);
    }
    if (!made)
        page_free(page);
    free(found);
    return made;
}

static struct page *page_of(uint32_t page)
{
    return pages[page & ~(uint32_t)BACKING_FLAG];
}

void backing_free(uint32_t page)
{
    page_free(page_of(page));
    pages[page & ~(uint32_t)BACKING_FLAG] = NULL;
}

uint64_t backing_checksum(uint32_t page)
{
    return page_of(page)->checksum;
}

void backing_spoil(uint32_t page)
{
    page_of(page)->checksum ^= UINT64_MAX;
}

void backing_hint(uint32_t number)
{
    const struct page *page = page_of(number);

    for (uint32_t i = 0; i < page->n; i++) {
        const struct part *part = &page->parts[i];

        if (part->file != NO_FILE)
            (void)posix_fadvise(files[part->file].fd, (off_t)part->offset, (off_t)part->bytes,
                                POSIX_FADV_WILLNEED);
    }
}

int backing_read(uint32_t number, void *buffer)
{
    const struct page *page = page_of(number);
    const struct part *first = page->parts;
    int r = read_parts(page, buffer);

    if (r || checksum(buffer, page->bytes) == page->checksum)
        return r;
    while (first->file == NO_FILE)
        first++;
    log_error("%s has other bytes at offset %llu than were uploaded from it; what needs them fails",
              files[first->file].name, (unsigned long long)first->offset);
    return -EBADMSG;
}
