/* SPDX-License-Identifier: MIT */
/*
 * The profile of the card that is simulated: the default's lines, then those of the one named. The
 * format is the product's (runtime/profile.def), so that what `vramshim bench` writes can be
 * simulated.
 */
#include "tests/sim/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/core.h"

struct profile profile;

static const struct {
    const char *name;
    const char *text;
} built_in[] = {
    {
        "default",
#include "tests/sim/default.profile.h"
    },
    {
        "h200",
#include "tests/sim/h200.profile.h"
    },
    {
        "rtx4090",
#include "tests/sim/rtx4090.profile.h"
    },
    {
        "rtx3060",
#include "tests/sim/rtx3060.profile.h"
    },
    {
        "rtx4060ti",
#include "tests/sim/rtx4060ti.profile.h"
    },
};

static void load_text(const char *from, const char *text)
{
    unsigned int line;
    char word[128];

    if (!profile_parse(&profile, text, &line, word, sizeof(word)))
        return;
    core_say("profile %s, line %u: \"%s\" is not a key and its value (the keys are in "
             "runtime/profile.def); aborting",
             from, line, word);
    _Exit(2);
}

static void load_file(const char *path)
{
    char error[256];
    int r = profile_read(path, &profile, error, sizeof(error));

    if (r == -ENOENT)
        settings_refuse("SIM_PROFILE", path,
                        "default, h200, rtx4090, rtx3060, rtx4060ti, or a file with a profile");
    if (r) {
        core_say("profile %s; aborting", error);
        _Exit(2);
    }
}

void profile_load(const char *name_or_file)
{
    load_text("default", built_in[0].text);
    for (size_t i = 0; i < ARRAY_SIZE(built_in); i++) {
        if (!strcmp(name_or_file, built_in[i].name)) {
            load_text(name_or_file, built_in[i].text);
            return;
        }
    }
    load_file(name_or_file);
}
