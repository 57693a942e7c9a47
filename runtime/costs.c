/* SPDX-License-Identifier: MIT */
#include "runtime/costs.h"

#include <errno.h>
#include <string.h>
#include "runtime/log.h"

static bool is_of(const struct profile *profile, const struct driver *drv, CUdevice device)
{
    char name[sizeof(profile->name)] = "";

    return drv->cuDeviceGetName &&
           drv->cuDeviceGetName(name, sizeof(name), device) == CUDA_SUCCESS &&
           strcmp(name, profile->name) == 0;
}

void costs_look(const struct driver *drv, CUdevice device, const config_FILE *setting,
                struct profile *out)
{
    struct profile profile = {0};
    char path[512], error[256];
    int r;

    memset(out, 0, sizeof(*out));
    if (!profile_place(setting->name, path, sizeof(path)))
        return;
    r = profile_read(path, &profile, error, sizeof(error));
    if (r == -ENOENT && !*setting->name)
        return;
    if (r) {
        log_warn("profile %s; costs are measured or guessed instead", error);
    } else if (!is_of(&profile, drv, device)) {
        log_info("profile %s is of another card than device %d; it is not used", path, device);
    } else {
        log_info("device %d: costs are those of %s", device, path);
        *out = profile;
    }
}
