/* SPDX-License-Identifier: MIT */
#include "runtime/redirect.h"

#include <stdlib.h>

static bool copy_extra(struct redirect *redirect, const struct launch *launch)
{
    void *buffer;
    size_t bytes;

    if (layout_extra_buffer(launch->extra, &buffer, &bytes) || bytes > launch->layout->bytes)
        return false;
    memcpy(redirect->packed, buffer, bytes);
    redirect->bytes = bytes;
    redirect->extra_words[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
    redirect->extra_words[1] = redirect->packed;
    redirect->extra_words[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
    redirect->extra_words[3] = &redirect->bytes;
    redirect->extra_words[4] = CU_LAUNCH_PARAM_END;
    redirect->extra = redirect->extra_words;
    return true;
}

static bool copy_params(struct redirect *redirect, const struct launch *launch)
{
    const struct layout *layout = launch->layout;

    redirect->kernel_params = malloc((layout->n_params + 1) * sizeof(void *));
    if (!redirect->kernel_params)
        return false;
    for (uint32_t i = 0; i < layout->n_params; i++) {
        const struct kernel_param *param = &layout->params[i];

        redirect->kernel_params[i] = redirect->packed + param->offset;
        memcpy(redirect->packed + param->offset, launch->kernel_params[i], param->bytes);
    }
    return true;
}

struct redirect *redirect_new(const struct launch *launch)
{
    struct redirect *redirect = calloc(1, sizeof(*redirect));
    bool copied;

    if (!redirect)
        return NULL;
    redirect->packed = malloc(launch->layout->bytes + 1);
    redirect->entries = malloc(REDIRECT_SLOTS_MAX * sizeof(*redirect->entries));
    copied = redirect->packed && redirect->entries &&
             (launch->extra ? copy_extra(redirect, launch) : copy_params(redirect, launch));
    if (copied)
        return redirect;
    redirect_free(redirect);
    return NULL;
}

struct redirect *redirect_nowhere(const struct launch *launch)
{
    struct redirect *redirect = calloc(1, sizeof(*redirect));

    if (!redirect)
        return NULL;
    redirect->kernel_params = (void **)launch->kernel_params;
    redirect->extra = (void **)launch->extra;
    return redirect;
}

void redirect_free(struct redirect *redirect)
{
    if (!redirect)
        return;
    if (redirect->packed)
        free(redirect->kernel_params);
    free(redirect->packed);
    free(redirect->entries);
    free(redirect);
}

void redirect_word(struct redirect *redirect, const struct layout_word *word, uint64_t value)
{
    memcpy(redirect->packed + word->offset, &value, sizeof(value));
}

static void restore_word(void *redirect, const struct layout_word *word, uint64_t value)
{
    redirect_word(redirect, word, value);
}

void redirect_restore(struct redirect *redirect, const struct launch *launch)
{
    if (redirect->packed)
        (void)layout_scan(launch->layout, launch->kernel_params, launch->extra, restore_word,
                          redirect);
}
