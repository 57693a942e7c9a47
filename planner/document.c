/* SPDX-License-Identifier: MIT */
#include "planner/document.h"

#include <errno.h>
#include <string.h>

#include "planner/source.h"
#include "planner/text.h"

static int parse(const struct source *source, const char *path, struct message *message,
                 json_t **out)
{
    const char *guess = source_guess(path, source->head, source->filled);
    json_error_t error;
    json_t *root =
        json_loadb((const char *)source->head, source->bytes, JSON_REJECT_DUPLICATES, &error);

    if (root && json_is_object(root)) {
        *out = root;
        return 0;
    }
    json_decref(root);
    if (root)
        return message_fail(message, path, "this is JSON, but no object");
    if (guess)
        return message_fail(message, path, "%s", guess);
    return message_fail(message, path, "line %d: this is no good JSON: %s", error.line,
                        text_show((struct text){error.text, strlen(error.text)}).text);
}

int document_read(const char *path, struct message *message, json_t **out)
{
    struct source source;
    int r = source_open(path, message->text, sizeof(message->text), &source);

    if (r)
        return r;
    if (source.bytes > DOCUMENT_MAX) {
        r = message_fail(message, path,
                         "this file of %ju bytes is longer than a configuration is; "
                         "the limit is %d",
                         (uintmax_t)source.bytes, DOCUMENT_MAX);
    } else {
        r = source_fill(&source, source.bytes);
        if (r)
            message_fail(message, path, "%s", strerror(-r));
        else
            r = parse(&source, path, message, out);
    }
    source_fini(&source);
    return r;
}
