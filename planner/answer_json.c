/* SPDX-License-Identifier: MIT */
/*
 * The answer as JSON, described in docs/vramshim-plan.1. Its keys are kept: programs read them.
 */
#include "planner/answer.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "planner/pin.h"
#include "planner/text.h"

/* Times are known to a few digits; more would change with the compiler. */
static json_t *seconds_json(const struct strategy_result *r, double seconds)
{
    double unit;

    if (!r->fits || seconds <= 0)
        return json_null();
    unit = pow(10, floor(log10(seconds)) - 3);
    return json_real(round(seconds / unit) * unit);
}

/* What a person has asked for, and pinned where the library is to hold it. */
static void tell_wishes(const struct answer *a, const struct strategy_result *r, char *out,
                        size_t size)
{
    const struct subject *s = a->given->subject;
    size_t used = 0;

    *out = '\0';
    if (r == a->strategies->asked)
        used = (size_t)snprintf(out, size, "asked for; ");
    for (size_t i = 0; i < s->n_pins && r->kind != STRATEGY_ENGINE && used < size; i++) {
        char name[128];

        used += (size_t)snprintf(
            out + used, size - used, "%s pinned to the %s; ",
            text_escape(s->pins[i].name, strlen(s->pins[i].name), name, sizeof(name)),
            pin_place_name(s->pins[i].where));
    }
}

static json_t *why_json(const struct answer *a, const struct strategy_result *r)
{
    char wishes[1024];

    tell_wishes(a, r, wishes, sizeof(wishes));
    if (r->fits)
        return json_sprintf("%s%s", wishes, r->why);
    return json_sprintf("%sshort of %llu bytes of %s%s%s", wishes, (unsigned long long)r->short_by,
                        strategy_lack_name(r->lack), r->change[0] ? "; fits with " : "", r->change);
}

static json_t *strategy_json(const struct answer *a, const struct strategy_result *r)
{
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:{s:o, s:o}, s:s, s:s, s:o}", "name", r->name,
                     "fits", (int)r->fits, "peak_device_bytes", (json_int_t)r->peak, "host_bytes",
                     (json_int_t)r->host, "pinned_bytes", (json_int_t)r->pinned, "disk_bytes",
                     (json_int_t)r->disk, "pass_seconds", "low", seconds_json(r, r->low), "high",
                     seconds_json(r, r->high), "bound", r->bound, "quality", r->quality, "why",
                     why_json(a, r));
}

static json_t *strategies_json(const struct answer *a)
{
    json_t *array = json_array();

    for (size_t i = 0; i < a->strategies->n; i++)
        json_array_append_new(array, strategy_json(a, &a->strategies->list[i]));
    return array;
}

static json_t *term_json(const struct term *term)
{
    return json_pack("{s:I, s:I}", "bytes", (json_int_t)term->bytes, "error",
                     (json_int_t)term->error);
}

static json_t *cache_json(const struct demand *demand, const struct term *term)
{
    return demand->cache_known ? term_json(term) : json_null();
}

static json_t *demand_json(const struct answer *a)
{
    const struct demand *d = &a->given->subject->demand;
    struct term driver = {a->given->machine.driver, a->given->machine.driver_error};

    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "context", (json_int_t)d->context, "cache",
                     cache_json(d, &d->cache), "state", cache_json(d, &d->state), "buffers",
                     term_json(&d->compute), "driver", term_json(&driver));
}

/* All that was given, the model first. */
static json_t *parts_json(const struct answer *a)
{
    json_t *array = json_array();

    if (a->model)
        json_array_append_new(array, report_part_json(a->model));
    for (size_t i = 0; i < a->n_parts; i++)
        json_array_append_new(array, report_part_json(&a->parts[i]));
    return array;
}

static json_t *model_json(const struct answer *a)
{
    const struct subject *s = a->given->subject;
    json_t *model = a->model ? report_json(a->path, a->model)
                             : json_pack("{s:n, s:I}", "file", "bytes", (json_int_t)s->bytes);

    if (!model)
        return NULL;
    json_object_set_new(model, "inputs", parts_json(a));
    json_object_set_new(model, "known", json_boolean(s->demand.cache_known));
    json_object_set_new(model, "parameters", json_integer((json_int_t)s->parameters));
    json_object_set_new(model, "active_parameters", json_integer((json_int_t)s->touched_numbers));
    json_object_set_new(model, "expert_bytes", json_integer((json_int_t)s->expert_bytes));
    json_object_set_new(model, "demand", demand_json(a));
    return model;
}

static json_t *budget_json(const struct machine *m)
{
    char card[256];

    if (!m->has_card)
        return json_null();
    return json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I}", "card",
                     text_escape(m->card, strlen(m->card), card, sizeof(card)), "measured",
                     (int)m->measured, "profiled", (int)m->profiled, "device_bytes",
                     (json_int_t)m->device, "host_bytes", (json_int_t)m->host, "pinned_bytes",
                     (json_int_t)m->pinned, "disk_bytes", (json_int_t)m->disk,
                     "link_bytes_per_second", (json_int_t)m->link_rate);
}

int answer_print_json(const struct answer *a, FILE *out)
{
    const struct strategy_result *best = a->strategies->recommended;
    json_t *root = json_pack("{s:o, s:o, s:s?, s:o}", "model", model_json(a), "budget",
                             budget_json(&a->given->machine), "recommended",
                             best ? best->name : NULL, "strategies", strategies_json(a));
    int r;

    if (!root)
        return -ENOMEM;
    r = json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0 &&
                fputc('\n', out) != EOF
            ? 0
            : -EIO;
    json_decref(root);
    return r;
}
