/* SPDX-License-Identifier: MIT */
/* Checks of what is installed and set. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#include "runtime/config.h"
#include "runtime/profile.h"
#include "runtime/util.h"
#include "tools/library.h"
#include "tools/patient.h"

void check_libc(const struct patient *p, struct finding *out)
{
    if (p->facts.musl) {
        find(out, VERDICT_FAIL, "%.200s is linked with musl", p->options->rest[0]);
        find_trap(out, TRAP_KB19);
        return;
    }
#ifdef __GLIBC__
    find(out, VERDICT_PASS, "glibc %s", gnu_get_libc_version());
#else
    find(out, VERDICT_FAIL, "it is not glibc");
#endif
}

/* The head of an ELF file of this program's own kind. */
static bool is_like_self(const char *path)
{
    Elf64_Ehdr self = {0}, other = {0};
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && read(fd, &self, sizeof(self)) == (ssize_t)sizeof(self);

    if (fd >= 0)
        close(fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    good = good && fd >= 0 && read(fd, &other, sizeof(other)) == (ssize_t)sizeof(other);
    if (fd >= 0)
        close(fd);
    return good && memcmp(other.e_ident, ELFMAG, SELFMAG) == 0 &&
           other.e_ident[EI_CLASS] == self.e_ident[EI_CLASS] && other.e_machine == self.e_machine;
}

void check_library(const struct patient *p, struct finding *out)
{
    char path[PATH_MAX], why[PATH_MAX + 128];

    if (library_find(p->options->library, path, sizeof(path), why, sizeof(why)) != 0)
        find(out, VERDICT_FAIL, "%.300s", why);
    else if (!is_like_self(path))
        find(out, VERDICT_FAIL, "%.280s is for another kind of processor", path);
    else
        find(out, VERDICT_PASS, "%.300s", path);
}

/* Preloaded libraries by what their name begins with, and what is known of them. */
static const struct companion {
    const char *name;
    const char *problem; /* NULL: it may stay */
} companions[] = {
    {LIBRARY_NAME, NULL},
    {"libvgpu", "it limits device memory by the same calls (HAMi)"},
    {"libgreenboost", "it stands in for the same calls"},
    {"libnvshare", "it stands in for the same calls"},
    {"libcuda_hook", "it stands in for the same calls"},
    {"libcudahook", "it stands in for the same calls"},
    {"libasan", "its own memory layout leaves little room for addresses of paged memory"},
    {"libtsan", "the sanitizer does not start under a preload of calls that it watches"},
    {"libjemalloc", NULL},
    {"libtcmalloc", NULL},
    {"libmimalloc", NULL},
    {"libMangoHud", NULL},
};

static const struct companion *find_companion(const char *path, size_t n)
{
    const char *name = path;

    for (size_t i = 0; i < n; i++)
        if (path[i] == '/')
            name = path + i + 1;
    for (size_t i = 0; i < ARRAY_SIZE(companions); i++)
        if (strncmp(name, companions[i].name, strlen(companions[i].name)) == 0)
            return &companions[i];
    return NULL;
}

void check_preload(const struct patient *p, struct finding *out)
{
    const char *at = getenv("LD_PRELOAD");

    if (!at || !*at) {
        find(out, VERDICT_PASS, "nothing is");
        return;
    }
    find(out, VERDICT_PASS, "what is stays behind the library: %.240s", at);
    while (*at) {
        size_t n = strcspn(at, " :");
        const struct companion *companion = n ? find_companion(at, n) : NULL;

        if (companion && companion->problem) {
            find(out, VERDICT_WARN, "%.*s: %s", (int)min_u64(n, 160), at, companion->problem);
            return;
        }
        at += n + (at[n] != '\0');
    }
}

void check_privileges(const struct patient *p, struct finding *out)
{
    if (getauxval(AT_SECURE)) {
        find(out, VERDICT_FAIL, "this process gained privileges as it started");
    } else if (p->facts.privileged) {
        find(out, VERDICT_FAIL, "%.200s gains privileges as it starts", p->options->rest[0]);
        find_trap(out, TRAP_KB20);
    } else
        find(out, VERDICT_PASS, "yes, in a process such as this one");
}

static const struct setting *setting_named(const char *entry, size_t n)
{
    for (size_t i = 0; config_setting(i); i++)
        if (strlen(config_setting(i)->name) == n && memcmp(config_setting(i)->name, entry, n) == 0)
            return config_setting(i);
    return NULL;
}

void check_settings(const struct patient *p, struct finding *out)
{
    static const char prefix[] = "VRAMSHIM_";
    unsigned int n = 0;

    for (char *const *entry = environ; *entry; entry++) {
        size_t length = strcspn(*entry, "=");
        const struct setting *setting;

        if (strncmp(*entry, prefix, strlen(prefix)))
            continue;
        n++;
        setting = setting_named(*entry, length);
        if (!setting) {
            find(out, VERDICT_WARN, "no setting is called %.*s", (int)min_u64(length, 100), *entry);
            return;
        }
        if (!config_accepts(setting, *entry + length + 1)) {
            find(out, VERDICT_WARN, "%s \"%.100s\" is not %s", setting->name, *entry + length + 1,
                 config_describes(setting));
            return;
        }
    }
    if (n)
        find(out, VERDICT_PASS, "%u are set", n);
    else
        find(out, VERDICT_PASS, "none is set");
}

void check_profile(const struct patient *p, struct finding *out)
{
    struct profile profile = {0};
    char path[512], error[256], rate[64];
    int r;

    if (!profile_place(getenv("VRAMSHIM_PROFILE"), path, sizeof(path))) {
        find(out, VERDICT_SKIP, "there is no place for a profile: VRAMSHIM_PROFILE or HOME say so");
        return;
    }
    r = profile_read(path, &profile, error, sizeof(error));
    if (r == -ENOENT)
        find(out, VERDICT_WARN, "%.200s is not there", path);
    else if (r)
        find(out, VERDICT_WARN, "%s", error);
    else if (p->has_card && strcmp(profile.name, p->gpu.name))
        find(out, VERDICT_WARN, "%.160s is of another card (%s)", path, profile.name);
    else if (!profile_format(&profile, PROFILE_h2d, rate, sizeof(rate)))
        find(out, VERDICT_WARN, "%.200s does not say what the link is worth", path);
    else
        find(out, VERDICT_PASS, "%s to the card, %s", rate,
             *profile.measured ? profile.measured : "day unknown");
}
