/* SPDX-License-Identifier: MIT */
/*
 * Two maps under one lock: owners to the kernels of their images, handles to one of those kernels.
 * Both are consulted when a module is loaded or a handle is first seen, never per launch, so a lock
 * and a walk through an image's names will do.
 *
 * The driver is handed images without their length. It has accepted the image by the time it is
 * recorded, so its headers can be believed as far as they lead through mapped memory; how far that
 * goes is asked of the kernel, which answers where a read would fault.
 *
 * What an image is said to be is its digest, all bytes of it. So of what is neither ELF image,
 * fatbin nor text, whose length nobody can tell, nothing is said.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "runtime/checksum.h"
#include "runtime/fatbin.h"
#include "runtime/image.h"
#include "runtime/log.h"
#include "runtime/table.h"
#include "runtime/util.h"

#define IMAGE_BYTES_MAX (2 * GIB)
#define PTX_WORD        ".version" /* that all PTX has */

struct owner {
    const void *key;
    const void *library;   /* that it is a module of: nothing else is known of it; NULL */
    const void *image;     /* that is still to be digested, NULL for none */
    uint64_t digest;       /* 0: not yet, or not known */
    struct nvinfo **infos; /* one per ELF image, earlier ones first */
    size_t n_infos;
    UT_hash_handle hh;
};

struct handle {
    const void *key;
    const void *owner;
    const struct nvinfo_kernel *kernel; /* belongs to the owner; NULL when no image tells */
    enum image_handle kind;
    char *name; /* NULL, unless its owner's image is remembered */
    UT_hash_handle hh;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct owner *owners;
static struct handle *handles;

/* Bytes from `image` to the first page that is not mapped, or the cap. */
static size_t readable_bytes(const void *image)
{
    uintptr_t page = sysconf(_SC_PAGESIZE), start = align_down((uintptr_t)image, page);
    size_t bytes = 0;

    for (size_t step = IMAGE_BYTES_MAX; step >= page; step /= 2)
        if (!msync((void *)(start + bytes), step, MS_ASYNC)) /* no more than a look at the map */
            bytes += step;
    return bytes ? bytes - ((uintptr_t)image - start) : 0;
}

static void owner_free(struct owner *owner)
{
    if (!owner)
        return;
    for (size_t i = 0; i < owner->n_infos; i++)
        nvinfo_free(owner->infos[i]);
    free(owner->infos);
    free(owner);
}

static int add_elf(struct owner *owner, const void *data, size_t bytes)
{
    struct nvinfo **grown, *info;
    int r;

    r = nvinfo_read(data, bytes, &info);
    if (r)
        return r;
    grown = realloc(owner->infos, (owner->n_infos + 1) * sizeof(struct nvinfo *));
    if (!grown) {
        nvinfo_free(info);
        return -ENOMEM;
    }
    owner->infos = grown;
    owner->infos[owner->n_infos++] = info;
    return 0;
}

static int visit_entry(void *context, const struct fatbin_image *image)
{
    int r = add_elf(context, image->data, image->bytes);

    return r == -ENOMEM ? r : 0; /* one bad entry does not spoil the others */
}

static int read_image(struct owner *owner, const void *image, unsigned int arch)
{
    size_t limit = readable_bytes(image);
    const void *fatbin = fatbin_open(image, limit);

    if (fatbin)
        return fatbin_walk(fatbin, readable_bytes(fatbin), arch, visit_entry, owner);
    return add_elf(owner, image, nvinfo_elf_bytes(image, limit));
}

static size_t owner_kernels(const struct owner *owner)
{
    size_t n = 0;

    for (size_t i = 0; i < owner->n_infos; i++)
        n += owner->infos[i]->n_kernels;
    return n;
}

static void forget_owner_locked(struct owner *owner)
{
    HASH_DEL(owners, owner);
    owner_free(owner);
}

static void forget_locked(const void *key)
{
    struct handle *handle, *next;
    struct owner *owner, *other;

    HASH_ITER(hh, handles, handle, next)
    {
        if (handle->owner != key)
            continue;
        HASH_DEL(handles, handle);
        free(handle->name);
        free(handle);
    }
    HASH_ITER(hh, owners, owner, other)
    {
        if (owner->key == key || owner->library == key)
            forget_owner_locked(owner);
    }
}

int image_record(const void *key, const void *image, unsigned int arch)
{
    struct owner *owner = calloc(1, sizeof(*owner));
    int r;

    if (!owner)
        return -ENOMEM;
    owner->key = key;
    r = read_image(owner, image, arch);
    if (!r)
        r = min_u64(owner_kernels(owner), INT32_MAX);

    pthread_mutex_lock(&lock);
    forget_locked(key);
    if (r > 0) {
        HASH_ADD_PTR(owners, key, owner);
        if (!owner->hh.tbl)
            r = -ENOMEM;
    }
    pthread_mutex_unlock(&lock);
    if (r > 0)
        return r;
    owner_free(owner);
    return r == -ENOMEM ? r : -ENOENT;
}

static struct owner *find_owner_locked(const void *key)
{
    struct owner *owner;

    HASH_FIND_PTR(owners, &key, owner);
    return owner;
}

/* Whose the handles of a module or library are. */
static const void *owner_key_locked(const void *key)
{
    const struct owner *owner = find_owner_locked(key);

    return owner && owner->library ? owner->library : key;
}

/* Bytes of an image, wherever they begin; 0 for what is none. */
static size_t whole_image(const void **image)
{
    size_t limit = readable_bytes(*image);
    const void *fatbin = fatbin_open(*image, limit);
    size_t bytes;

    if (fatbin) {
        *image = fatbin;
        return fatbin_bytes(fatbin, readable_bytes(fatbin));
    }
    bytes = nvinfo_elf_bytes(*image, limit);
    if (bytes)
        return bytes;
    bytes = strnlen(*image, limit);
    return bytes < limit && strstr(*image, PTX_WORD) ? bytes : 0;
}

static uint64_t digest_of(const void *image)
{
    size_t bytes = whole_image(&image);
    uint64_t digest = bytes ? checksum(image, bytes) : 0;

    return bytes && !digest ? 1 : digest;
}

static struct owner *make_owner_locked(const void *key)
{
    struct owner *owner = find_owner_locked(key);

    if (owner)
        return owner;
    owner = calloc(1, sizeof(*owner));
    if (!owner)
        return NULL;
    owner->key = key;
    HASH_ADD_PTR(owners, key, owner);
    if (owner->hh.tbl)
        return owner;
    owner_free(owner);
    return NULL;
}

void image_identify(const void *key, const void *image, bool stays)
{
    uint64_t digest = stays ? 0 : digest_of(image);
    struct owner *owner;

    pthread_mutex_lock(&lock);
    owner = make_owner_locked(key);
    if (owner) {
        owner->image = stays ? image : NULL;
        owner->digest = digest;
    }
    pthread_mutex_unlock(&lock);
}

static const struct nvinfo_kernel *find_kernel_locked(const void *key, const char *name)
{
    const struct owner *owner = find_owner_locked(key);

    if (!owner)
        return NULL;
    for (size_t i = 0; i < owner->n_infos; i++)
        for (size_t j = 0; j < owner->infos[i]->n_kernels; j++)
            if (strcmp(owner->infos[i]->kernels[j].name, name) == 0)
                return &owner->infos[i]->kernels[j];
    return NULL;
}

static struct handle *find_handle_locked(const void *key)
{
    struct handle *handle;

    HASH_FIND_PTR(handles, &key, handle);
    return handle;
}

static bool is_remembered_locked(const void *key)
{
    const struct owner *owner = find_owner_locked(key);

    return owner && (owner->image || owner->digest);
}

static struct handle *make_handle_locked(const void *key)
{
    struct handle *handle = calloc(1, sizeof(*handle));

    if (!handle)
        return NULL;
    handle->key = key;
    HASH_ADD_PTR(handles, key, handle);
    if (handle->hh.tbl)
        return handle;
    free(handle);
    return NULL;
}

static void attach_locked(const struct handle *what)
{
    struct handle *handle = find_handle_locked(what->key);
    char *name = is_remembered_locked(what->owner) && what->name ? strdup(what->name) : NULL;

    if (!handle) {
        handle = make_handle_locked(what->key);
        if (!handle) {
            free(name);
            return;
        }
    }
    handle->owner = what->owner;
    handle->kernel = what->kernel;
    handle->kind = what->kind;
    free(handle->name);
    handle->name = name;
}

void image_alias(const void *module, const void *library)
{
    struct owner *owner;

    pthread_mutex_lock(&lock);
    owner = find_owner_locked(library) ? make_owner_locked(module) : NULL;
    if (owner)
        owner->library = library;
    pthread_mutex_unlock(&lock);
}

void image_attach(const void *owner, const char *name, const void *handle, enum image_handle kind)
{
    pthread_mutex_lock(&lock);
    owner = owner_key_locked(owner);
    attach_locked(&(struct handle){.key = handle,
                                   .owner = owner,
                                   .kernel = find_kernel_locked(owner, name),
                                   .kind = kind,
                                   .name = (char *)name});
    pthread_mutex_unlock(&lock);
}

void image_attach_function(const void *kernel, const void *function)
{
    const struct handle *known;
    struct handle what = {.key = NULL};

    pthread_mutex_lock(&lock);
    known = find_handle_locked(kernel);
    if (known)
        what = *known;
    what.key = function;
    what.kind = IMAGE_HANDLE_FUNCTION;
    attach_locked(&what);
    pthread_mutex_unlock(&lock);
}

void image_forget(const void *owner)
{
    pthread_mutex_lock(&lock);
    forget_locked(owner);
    pthread_mutex_unlock(&lock);
}

enum image_handle image_handle_kind(const void *handle)
{
    struct handle *known;
    enum image_handle kind;

    pthread_mutex_lock(&lock);
    known = find_handle_locked(handle);
    kind = known ? known->kind : IMAGE_HANDLE_UNKNOWN;
    pthread_mutex_unlock(&lock);
    return kind;
}

static uint64_t digest_locked(struct owner *owner)
{
    if (owner->image)
        owner->digest = digest_of(owner->image);
    owner->image = NULL;
    return owner->digest;
}

int image_function(const void *key, uint64_t *out_digest, char **out_name)
{
    const struct handle *handle;
    struct owner *owner;
    char *name = NULL;
    int r = -ENOENT;

    pthread_mutex_lock(&lock);
    handle = find_handle_locked(key);
    owner = handle && handle->name ? find_owner_locked(handle->owner) : NULL;
    if (owner && digest_locked(owner)) {
        name = strdup(handle->name);
        r = name ? 0 : -ENOMEM;
    }
    if (!r) {
        *out_digest = owner->digest;
        *out_name = name;
    }
    pthread_mutex_unlock(&lock);
    return r;
}

int image_params(const void *handle, struct kernel_param *out, size_t max)
{
    struct handle *known;
    int r = -ENOENT;

    pthread_mutex_lock(&lock);
    known = find_handle_locked(handle);
    if (known && known->kernel) {
        r = known->kernel->n_params;
        memcpy(out, known->kernel->params, min_u64(r, max) * sizeof(*out));
    }
    pthread_mutex_unlock(&lock);
    return r;
}
