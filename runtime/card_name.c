/* SPDX-License-Identifier: MIT */
#include "runtime/card_name.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "runtime/util.h"

/* What follows a name, when it makes another card of it. */
static bool is_another(const char *rest)
{
    static const char *const words[] = {"Ti", "SUPER", "D", "Laptop", "Mobile", "Max-Q"};

    if (isalnum((unsigned char)*rest))
        return true;
    rest += *rest == ' ';
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        size_t n = strlen(words[i]);

        if (strncasecmp(rest, words[i], n) == 0 && !isalnum((unsigned char)rest[n]))
            return true;
    }
    return false;
}

bool card_name_is(const char *driver_name, const char *name)
{
    static const char maker[] = "NVIDIA ";
    const char *at;

    if (strncasecmp(name, maker, strlen(maker)) == 0)
        name += strlen(maker);
    at = strcasestr(driver_name, name);

    return *name && at && (at == driver_name || at[-1] == ' ') && !is_another(at + strlen(name));
}
