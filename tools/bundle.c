/* SPDX-License-Identifier: MIT */
/*
 * Every report is written in memory, cleared of names, and only then put into a folder that tar(1)
 * packs. Reports that are empty here are left out.
 */
#include "tools/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <pwd.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/profile.h"
#include "runtime/util.h"
#include "tools/detect.h"
#include "tools/kernel_log.h"
#include "tools/redact.h"

#define FOLDER "vramshim-report"

enum { LOG_BYTES = 64 << 10 };

struct sources {
    const struct options *options;
    void (*doctor)(FILE *out, bool json, const void *context);
    const void *context;
};

static void write_doctor(const struct sources *from, FILE *out)
{
    from->doctor(out, false, from->context);
}

static void write_doctor_json(const struct sources *from, FILE *out)
{
    from->doctor(out, true, from->context);
}

static void write_hardware(const struct sources *from, FILE *out)
{
    (void)detect_print(from->options, out);
}

/* The end of a file, from a line's beginning on. */
static void write_tail(const char *path, FILE *out)
{
    FILE *file = fopen(path, "re");
    char line[4096];

    if (!file)
        return;
    if (fseek(file, -LOG_BYTES, SEEK_END) == 0)
        (void)fgets(line, sizeof(line), file);
    else
        rewind(file);
    while (fgets(line, sizeof(line), file))
        fputs(line, out);
    fclose(file);
}

static void write_profile(const struct sources *from, FILE *out)
{
    char path[PATH_MAX];

    if (profile_place(getenv("VRAMSHIM_PROFILE"), path, sizeof(path)))
        write_tail(path, out);
}

static void write_settings(const struct sources *from, FILE *out)
{
    for (char *const *entry = environ; *entry; entry++)
        if (strncmp(*entry, "VRAMSHIM_", strlen("VRAMSHIM_")) == 0)
            fprintf(out, "%s\n", *entry);
}

/* Lines of a file that begin so; all where `begin` is empty. */
static void write_lines(const char *root, const char *path, const char *begin, FILE *out)
{
    char whole[PATH_MAX], line[512];
    FILE *file;

    snprintf(whole, sizeof(whole), "%s%s", root, path);
    file = fopen(whole, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, begin, strlen(begin)) == 0)
            fputs(line, out);
    if (file)
        fclose(file);
}

static void write_system(const struct sources *from, FILE *out)
{
    const char *root = from->options->root ? from->options->root : "";
    struct utsname system;

    fprintf(out, "vramshim %s\nglibc %s\n", VRAMSHIM_VERSION, gnu_get_libc_version());
    if (uname(&system) == 0)
        fprintf(out, "%s %s %s\n", system.sysname, system.release, system.machine);
    write_lines(root, "/etc/os-release", "PRETTY_NAME=", out);
    write_lines(root, "/proc/driver/nvidia/version", "", out);
    write_lines(root, "/proc/meminfo", "Mem", out);
    write_lines(root, "/proc/meminfo", "Swap", out);
}

static void write_error(const struct xid *xid, void *context)
{
    fprintf(context, "%s\n", xid->line);
}

static void write_kernel(const struct sources *from, FILE *out)
{
    char why[200];

    (void)kernel_log_read(from->options->root ? from->options->root : "", "", write_error, out, why,
                          sizeof(why));
}

/* Of several processes' files the one that was written last. */
static void write_log(const struct sources *from, FILE *out)
{
    const char *set = getenv("VRAMSHIM_LOG_FILE");
    char pattern[PATH_MAX];
    const char *process = set ? strstr(set, "%p") : NULL;
    size_t newest = 0;
    time_t time = 0;
    struct stat status;
    glob_t found;

    if (!set || !*set)
        return;
    if (!process) {
        write_tail(set, out);
        return;
    }
    snprintf(pattern, sizeof(pattern), "%.*s*%s", (int)(process - set), set, process + 2);
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (stat(found.gl_pathv[i], &status) == 0 && status.st_mtime > time) {
            time = status.st_mtime;
            newest = i;
        }
    }
    write_tail(found.gl_pathv[newest], out);
    globfree(&found);
}

static const struct part {
    const char *file, *what;
    void (*write)(const struct sources *from, FILE *out);
} parts[] = {
    {"doctor.txt", "what is printed above", write_doctor},
    {"doctor.json", "the same for programs", write_doctor_json},
    {"detect.txt", "cards, links, memory, disk", write_hardware},
    {"profile", "what vramshim bench measured", write_profile},
    {"settings.txt", "the VRAMSHIM_* variables", write_settings},
    {"system.txt", "versions, and how much memory there is", write_system},
    {"kernel.txt", "the kernel's lines on errors of cards", write_kernel},
    {"log.txt", "the end of VRAMSHIM_LOG_FILE", write_log},
};

/* 1 when the part was written, 0 when there is nothing in it, or a negative errno. */
static int put_part(const struct part *part, const struct sources *from, int folder, FILE *list)
{
    char *text = NULL, *clear;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int fd = -1, r = 0;

    if (!out)
        return -ENOMEM;
    part->write(from, out);
    if (fclose(out) != 0) {
        free(text);
        return -ENOMEM;
    }
    clear = size ? redact(text) : NULL;
    if (clear)
        fd = openat(folder, part->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0) {
        size = strlen(clear);
        r = write(fd, clear, size) == (ssize_t)size ? 1 : -EIO;
        close(fd);
        fprintf(list, "  %-13s %6zu bytes: %s\n", part->file, size, part->what);
    } else if (size) {
        r = clear ? -errno : -ENOMEM;
    }
    free(clear);
    free(text);
    return r;
}

static int pack(const char *path, const char *place)
{
    /* Not whose the files are. */
    const char *const words[] = {"tar",       "-czf",      path, "--numeric-owner",
                                 "--owner=0", "--group=0", "-C", place,
                                 FOLDER,      NULL};
    int status, r;
    pid_t child;

    r = posix_spawnp(&child, "tar", NULL, NULL, (char *const *)words, environ);
    if (r)
        return -r;
    if (waitpid(child, &status, 0) != child)
        return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int put_all(const struct sources *from, const char *place, int folder, FILE *list)
{
    int r = 0;

    fprintf(list, "%s holds:\n", from->options->bundle);
    for (size_t i = 0; i < ARRAY_SIZE(parts) && r >= 0; i++)
        r = put_part(&parts[i], from, folder, list);
    if (r >= 0)
        r = pack(from->options->bundle, place);
    if (r >= 0)
        fprintf(list, "Your name, that of the machine and your home folder's are replaced; look "
                      "through it before you pass it on.\n");
    return r;
}

static void remove_all(const char *place, int folder)
{
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        (void)unlinkat(folder, parts[i].file, 0);
    close(folder);
    folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)unlinkat(folder, FOLDER, AT_REMOVEDIR);
    close(folder);
    (void)rmdir(place);
}

int bundle_write(const struct options *options,
                 void (*doctor)(FILE *out, bool json, const void *context), const void *context)
{
    const char *temporary = getenv("TMPDIR");
    const struct sources from = {.options = options, .doctor = doctor, .context = context};
    char place[128], inside[160];
    int folder, r;

    snprintf(place, sizeof(place), "%s/vramshim-XXXXXX",
             temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(place))
        return complain(STATUS_ENVIRONMENT, "no folder for reports: %s", strerror(errno));
    snprintf(inside, sizeof(inside), "%s/" FOLDER, place);
    folder = mkdir(inside, 0700) == 0 ? open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    r = folder >= 0 ? put_all(&from, place, folder, options->json ? stderr : stdout) : -errno;
    remove_all(place, folder);
    if (r < 0)
        return complain(STATUS_ENVIRONMENT, "cannot write %s: %s", options->bundle, strerror(-r));
    return STATUS_OK;
}
