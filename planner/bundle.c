/* SPDX-License-Identifier: MIT */
/*
 * safetensors files say nothing of what they are. Image models are told by the names that their
 * tensors have in every file of the kind; those of all components in one file begin with that of
 * the component.
 */
#include "planner/bundle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/families.h"
#include "planner/folder.h"
#include "runtime/util.h"

#define MAIN "model.diffusion_model."

static const struct component {
    const char *prefix;
    enum input_role role;
} components[] = {
    {"first_stage_model.", INPUT_DECODER}, {"vae.", INPUT_DECODER},
    {"cond_stage_model.", INPUT_ENCODER},  {"conditioner.", INPUT_ENCODER},
    {"text_encoders.", INPUT_ENCODER},
};

/* The first row of which a tensor has the part decides. */
static const struct mark {
    const char *part, *family;
} marks[] = {
    {"individual_token_refiner.", "hunyuan_video"},
    {"llm_adapter.blocks.", "anima"},
    {"double_blocks.", "flux"},
    {"joint_blocks.", "sd3"},
    {"txt_norm.", "qwen_image"},
    {"x_pad_token", "z_image"},
    {"cap_embedder.", "lumina2"},
    {"conditioner.", "sdxl"},
    {"diffusion_model.input_blocks.", "sd1"},
    {"head.modulation", "wan"},
};

static const char *family_by_names(const struct input *input)
{
    for (size_t k = 0; k < ARRAY_SIZE(marks); k++)
        for (size_t i = 0; i < input->n_tensors; i++)
            if (text_has(input->tensors[i].name, marks[k].part))
                return marks[k].family;
    return NULL;
}

static bool has_prefix(const struct input *input, const char *prefix)
{
    for (size_t i = 0; i < input->n_tensors; i++)
        if (text_begins(input->tensors[i].name, prefix))
            return true;
    return false;
}

/* The tensors of `from` that begin so, as an input of their own; their names stay where they are.
 */
static int append_component(struct inputs *inputs, const struct input *from,
                            const struct component *component, struct message *message)
{
    struct input *input = input_new(from->path);

    if (!input)
        return message_no_memory(message);
    input->role = component->role;
    input->format = from->format;
    for (size_t i = 0; i < from->n_tensors; i++)
        if (text_begins(from->tensors[i].name, component->prefix) &&
            input_append(input, &from->tensors[i], 1)) {
            input_free(input);
            return message_no_memory(message);
        }
    return inputs_append(inputs, input, message);
}

/* What is left when the components have gone. */
static void keep_main(struct input *input)
{
    size_t n = 0;

    for (size_t i = 0; i < input->n_tensors; i++)
        if (text_begins(input->tensors[i].name, MAIN))
            input->own_tensors[n++] = input->own_tensors[i];
    input->n_tensors = n;
}

static int split(struct inputs *inputs, struct input *input, struct message *message)
{
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(components) && !r; i++)
        if (has_prefix(input, components[i].prefix))
            r = append_component(inputs, input, &components[i], message);
    keep_main(input);
    return r;
}

int bundle_append(struct inputs *inputs, struct input *input, struct message *message)
{
    const char *family;
    int r = folder_describe(input, message);

    if (r) {
        input_free(input);
        return r;
    }
    family = input->arch.verdict == ARCH_UNNAMED ? family_by_names(input) : NULL;
    if (family && input->role == INPUT_MODEL) {
        input->arch.verdict = ARCH_UNKNOWN;
        snprintf(input->arch.name, sizeof(input->arch.name), "%s", family);
        input->architecture = (struct text){input->arch.name, strlen(input->arch.name)};
    }
    r = inputs_append(inputs, input, message);
    return !r && has_prefix(input, MAIN) ? split(inputs, input, message) : r;
}
