/* SPDX-License-Identifier: MIT */
/*
 * encoder: sentence embeddings from a BERT model in a GGUF file, on the GPU.
 *
 * An ordinary program that links with -lcuda. Weights are float32, one allocation per tensor, as
 * frameworks have it. Sentences are run in batches, lying one after the other without padding; an
 * embedding is the mean of a sentence's token vectors, scaled to length 1. The arithmetic is always
 * done in the same order, so equal input gives equal bits.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/util.h"
#include "tests/apps/bert.h"
#include "tests/apps/wordpiece.h"

static const char kernels[] =
#include "bert.ptx.h"
    ;

enum {
    NORM_THREADS = 128,
    LINEAR_THREADS = 32,
    LINEAR_TILE = 4,
    WARP = 32,
    MAX_SENTENCES = 1 << 20,
};

/* Sentences as tokens, without padding. */
struct batch {
    int32_t *tokens, *positions, *begins, *ends; /* by token: id, place, its sentence's tokens */
    int32_t *sentence_begins;                    /* by sentence, and one past the last */
    unsigned int n_tokens, n_sentences, longest;
};

/* Device memory of a pass, large enough for the largest batch. */
struct buffers {
    CUdeviceptr tokens, positions, begins, ends, sentence_begins;
    CUdeviceptr x, q, k, v, mixed, hidden, embeddings;
};

struct functions {
    CUfunction embed, add_norm, linear, attention, pool;
};

struct options {
    const char *model, *in, *out;
    unsigned int batch;
    bool show_tokens;
};

struct program {
    struct gpu gpu;
    struct bert bert;
    struct functions functions;
    struct buffers buffers;
    struct options options;
    char **sentences;
    size_t n_sentences;
    struct batch *batches;
    size_t n_batches;
};

static void *allocate(const struct gpu *gpu, size_t count, size_t size)
{
    void *at = calloc(count ? count : 1, size);

    if (!at)
        gpu_die(gpu, "out of memory");
    return at;
}

static void read_sentences(struct program *program, FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;

    program->sentences = allocate(&program->gpu, MAX_SENTENCES, sizeof(*program->sentences));
    while ((size = getline(&line, &capacity, file)) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        if (!*line)
            continue;
        if (program->n_sentences == MAX_SENTENCES)
            gpu_die(&program->gpu, "more than %d sentences", MAX_SENTENCES);
        program->sentences[program->n_sentences++] = strdup(line);
    }
    free(line);
}

static void batch_add(struct batch *batch, const int32_t *tokens, size_t n_tokens)
{
    unsigned int begin = batch->n_tokens;

    for (size_t i = 0; i < n_tokens; i++, batch->n_tokens++) {
        batch->tokens[batch->n_tokens] = tokens[i];
        batch->positions[batch->n_tokens] = (int32_t)i;
        batch->begins[batch->n_tokens] = (int32_t)begin;
        batch->ends[batch->n_tokens] = (int32_t)(begin + n_tokens);
    }
    batch->longest = (unsigned int)max_u64(batch->longest, n_tokens);
    batch->sentence_begins[++batch->n_sentences] = (int32_t)batch->n_tokens;
}

static void batch_init(const struct program *program, struct batch *batch)
{
    size_t most = (size_t)program->options.batch * program->bert.max_tokens;

    batch->tokens = allocate(&program->gpu, most, sizeof(int32_t));
    batch->positions = allocate(&program->gpu, most, sizeof(int32_t));
    batch->begins = allocate(&program->gpu, most, sizeof(int32_t));
    batch->ends = allocate(&program->gpu, most, sizeof(int32_t));
    batch->sentence_begins = allocate(&program->gpu, program->options.batch + 1, sizeof(int32_t));
}

static void batch_fini(struct batch *batch)
{
    free(batch->tokens);
    free(batch->positions);
    free(batch->begins);
    free(batch->ends);
    free(batch->sentence_begins);
}

static void show_tokens(const int32_t *tokens, size_t n_tokens)
{
    for (size_t i = 0; i < n_tokens; i++)
        printf("%s%" PRId32, i ? " " : "", tokens[i]);
    putchar('\n');
}

static void tokenize(struct program *program)
{
    const struct bert *bert = &program->bert;
    int32_t *tokens = allocate(&program->gpu, bert->max_tokens, sizeof(*tokens));
    struct wordpiece *wordpiece = NULL;
    const char *reason;

    if (wordpiece_new(bert->model.gguf, &reason, &wordpiece))
        gpu_die(&program->gpu, "%s: %s", bert->model.path, reason);
    program->n_batches = gpu_blocks(program->n_sentences, program->options.batch);
    program->batches = allocate(&program->gpu, program->n_batches, sizeof(*program->batches));
    for (size_t i = 0; i < program->n_sentences; i++) {
        struct batch *batch = &program->batches[i / program->options.batch];
        const char *text = program->sentences[i];
        size_t n = wordpiece_encode(wordpiece, text, strlen(text), tokens, bert->max_tokens);

        if (n > bert->max_tokens) {
            fprintf(stderr, "%s: sentence %zu has %zu tokens; only the first %u are used\n",
                    program->gpu.program, i + 1, n, bert->max_tokens);
            n = bert->max_tokens;
        }
        if (!batch->tokens)
            batch_init(program, batch);
        batch_add(batch, tokens, n);
        if (program->options.show_tokens)
            show_tokens(tokens, n);
    }
    wordpiece_free(wordpiece);
    free(tokens);
}

static CUdeviceptr activation(const struct program *program, size_t count, const char *what)
{
    return gpu_alloc(&program->gpu, count * sizeof(float), what);
}

static void buffers_open(struct program *program)
{
    const struct bert *bert = &program->bert;
    struct buffers *b = &program->buffers;
    size_t tokens = 0, sentences = 0;

    for (size_t i = 0; i < program->n_batches; i++) {
        tokens = max_u64(tokens, program->batches[i].n_tokens);
        sentences = max_u64(sentences, program->batches[i].n_sentences);
    }
    b->tokens = activation(program, tokens, "token ids");
    b->positions = activation(program, tokens, "token positions");
    b->begins = activation(program, tokens, "sentence beginnings");
    b->ends = activation(program, tokens, "sentence ends");
    b->sentence_begins = activation(program, sentences + 1, "sentence offsets");
    b->x = activation(program, tokens * bert->width, "token vectors");
    b->q = activation(program, tokens * bert->width, "queries");
    b->k = activation(program, tokens * bert->width, "keys");
    b->v = activation(program, tokens * bert->width, "values");
    b->mixed = activation(program, tokens * bert->width, "attention");
    b->hidden = activation(program, tokens * bert->hidden, "hidden vectors");
    b->embeddings = activation(program, sentences * bert->width, "embeddings");
}

static void buffers_close(struct program *program)
{
    const struct buffers *b = &program->buffers;
    const CUdeviceptr all[] = {b->tokens, b->positions, b->begins, b->ends, b->sentence_begins,
                               b->x,      b->q,         b->k,      b->v,    b->mixed,
                               b->hidden, b->embeddings};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        gpu_free(&program->gpu, all[i]);
}

static void run_embed(struct program *program, const struct batch *batch)
{
    struct bert *bert = &program->bert;
    struct buffers *b = &program->buffers;
    CUdeviceptr words = model_at(&bert->model, bert->token_table);
    CUdeviceptr places = model_at(&bert->model, bert->position_table);
    CUdeviceptr types = model_at(&bert->model, bert->type_table);
    CUdeviceptr weight = model_at(&bert->model, bert->embed_norm.weight);
    CUdeviceptr bias = model_at(&bert->model, bert->embed_norm.bias);
    void *params[] = {&b->x,  &b->tokens, &b->positions, &words,       &places,
                      &types, &weight,    &bias,         &bert->width, &bert->epsilon};

    gpu_launch(&program->gpu, program->functions.embed,
               (struct gpu_shape){batch->n_tokens, 1, NORM_THREADS, 0}, params);
}

static void run_linear(struct program *program, const struct batch *batch,
                       const struct bert_dense *dense, CUdeviceptr in, CUdeviceptr out,
                       unsigned int with_gelu)
{
    unsigned int n_tokens = batch->n_tokens, n_in = dense->n_in, n_out = dense->n_out;
    CUdeviceptr weight = model_at(&program->bert.model, dense->weight);
    CUdeviceptr bias = model_at(&program->bert.model, dense->bias);
    void *params[] = {&out, &in, &weight, &bias, &n_tokens, &n_in, &n_out, &with_gelu};
    struct gpu_shape shape = {
        .grid_x = gpu_blocks(n_out, LINEAR_THREADS * LINEAR_TILE),
        .grid_y = gpu_blocks(n_tokens, LINEAR_TILE),
        .block = LINEAR_THREADS,
    };

    gpu_launch(&program->gpu, program->functions.linear, shape, params);
}

static void run_add_norm(struct program *program, const struct batch *batch,
                         const struct bert_norm *norm, CUdeviceptr y)
{
    struct bert *bert = &program->bert;
    CUdeviceptr weight = model_at(&bert->model, norm->weight);
    CUdeviceptr bias = model_at(&bert->model, norm->bias);
    void *params[] = {&program->buffers.x, &y, &weight, &bias, &bert->width, &bert->epsilon};

    gpu_launch(&program->gpu, program->functions.add_norm,
               (struct gpu_shape){batch->n_tokens, 1, NORM_THREADS, 0}, params);
}

static void run_attention(struct program *program, const struct batch *batch)
{
    struct bert *bert = &program->bert;
    struct buffers *b = &program->buffers;
    unsigned int head_size = bert->width / bert->n_heads;
    float scale = 1.0f / sqrtf((float)head_size);
    void *params[] = {&b->mixed, &b->q,        &b->k,      &b->v, &b->begins,
                      &b->ends,  &bert->width, &head_size, &scale};
    struct gpu_shape shape = {
        .grid_x = batch->n_tokens,
        .grid_y = bert->n_heads,
        .block = WARP,
        .shared_bytes = batch->longest * (unsigned int)sizeof(float),
    };

    gpu_launch(&program->gpu, program->functions.attention, shape, params);
}

static void run_layer(struct program *program, const struct batch *batch,
                      const struct bert_layer *layer)
{
    struct buffers *b = &program->buffers;

    run_linear(program, batch, &layer->q, b->x, b->q, 0);
    run_linear(program, batch, &layer->k, b->x, b->k, 0);
    run_linear(program, batch, &layer->v, b->x, b->v, 0);
    run_attention(program, batch);
    run_linear(program, batch, &layer->out, b->mixed, b->q, 0);
    run_add_norm(program, batch, &layer->out_norm, b->q);
    run_linear(program, batch, &layer->up, b->x, b->hidden, 1);
    run_linear(program, batch, &layer->down, b->hidden, b->q, 0);
    run_add_norm(program, batch, &layer->down_norm, b->q);
}

static void run_batch(struct program *program, const struct batch *batch, float *out)
{
    const struct gpu *gpu = &program->gpu;
    struct bert *bert = &program->bert;
    struct buffers *b = &program->buffers;
    void *params[] = {&b->embeddings, &b->x, &b->sentence_begins, &bert->width};
    size_t token_bytes = batch->n_tokens * sizeof(int32_t);

    gpu_upload(gpu, b->tokens, batch->tokens, token_bytes);
    gpu_upload(gpu, b->positions, batch->positions, token_bytes);
    gpu_upload(gpu, b->begins, batch->begins, token_bytes);
    gpu_upload(gpu, b->ends, batch->ends, token_bytes);
    gpu_upload(gpu, b->sentence_begins, batch->sentence_begins,
               (batch->n_sentences + 1) * sizeof(int32_t));
    run_embed(program, batch);
    for (unsigned int i = 0; i < bert->n_layers; i++)
        run_layer(program, batch, &bert->layers[i]);
    gpu_launch(gpu, program->functions.pool,
               (struct gpu_shape){batch->n_sentences, 1, NORM_THREADS, 0}, params);
    gpu_download(gpu, out, b->embeddings, (size_t)batch->n_sentences * bert->width * sizeof(float));
}

static void write_text(const struct program *program, const float *embeddings)
{
    for (size_t i = 0; i < program->n_sentences; i++) {
        for (unsigned int k = 0; k < program->bert.width; k++)
            printf("%s%a", k ? " " : "", (double)embeddings[i * program->bert.width + k]);
        putchar('\n');
    }
}

static void write_file(const struct program *program, const float *embeddings)
{
    size_t count = program->n_sentences * program->bert.width;
    FILE *file = fopen(program->options.out, "wb");

    if (!file || fwrite(embeddings, sizeof(float), count, file) != count || fclose(file))
        gpu_die(&program->gpu, "%s: %s", program->options.out, strerror(errno));
}

static const char usage[] =
    "usage: encoder --model FILE [--in FILE] [--out FILE] [--batch N] [--tokens] [SENTENCE...]\n"
    "  --model FILE   a GGUF file of architecture bert, F32 weights\n"
    "  --in FILE      sentences, one per line (default: the arguments)\n"
    "  --out FILE     write embeddings as raw float32, one row per sentence\n"
    "                 (default: as hexadecimal text on standard output)\n"
    "  --batch N      sentences computed at a time (default 8)\n"
    "  --tokens       print token ids and stop\n";

static void parse_options(struct program *program, int argc, char **argv)
{
    static const struct option names[] = {
        {"model", required_argument, NULL, 'm'},
        {"in", required_argument, NULL, 'i'},
        {"out", required_argument, NULL, 'o'},
        {"batch", required_argument, NULL, 'b'},
        {"tokens", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options *options = &program->options;
    int name;

    options->batch = 8;
    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (name == 'm')
            options->model = optarg;
        else if (name == 'i')
            options->in = optarg;
        else if (name == 'o')
            options->out = optarg;
        else if (name == 'b')
            options->batch = (unsigned int)strtoul(optarg, NULL, 10);
        else if (name == 't')
            options->show_tokens = true;
        else if (name == 'h')
            exit(printf("%s", usage) < 0);
        else
            exit((fputs(usage, stderr), 2));
    }
    program->sentences = argv + optind;
    program->n_sentences = (size_t)(argc - optind);
    if (!options->model || options->batch < 1 || options->batch > 4096 ||
        !program->n_sentences == !options->in)
        exit((fputs(usage, stderr), 2));
}

static void load_sentences(struct program *program)
{
    FILE *file;

    if (!program->options.in)
        return;
    file = fopen(program->options.in, "r");
    if (!file)
        gpu_die(&program->gpu, "%s: %s", program->options.in, strerror(errno));
    read_sentences(program, file);
    fclose(file);
    if (!program->n_sentences)
        gpu_die(&program->gpu, "%s: there are no sentences", program->options.in);
}

static void run(struct program *program)
{
    const struct gpu *gpu = &program->gpu;
    struct bert *bert = &program->bert;
    float *embeddings = allocate(gpu, program->n_sentences * bert->width, sizeof(float));
    float *out = embeddings;

    program->functions = (struct functions){
        .embed = gpu_function(gpu, "embed"),
        .add_norm = gpu_function(gpu, "add_norm"),
        .linear = gpu_function(gpu, "linear"),
        .attention = gpu_function(gpu, "attention"),
        .pool = gpu_function(gpu, "pool"),
    };
    model_upload(&bert->model, MODEL_PER_TENSOR);
    buffers_open(program);
    for (size_t i = 0; i < program->n_batches; i++) {
        run_batch(program, &program->batches[i], out);
        out += (size_t)program->batches[i].n_sentences * bert->width;
    }
    buffers_close(program);
    if (program->options.out)
        write_file(program, embeddings);
    else
        write_text(program, embeddings);
    free(embeddings);
}

static void program_close(struct program *program)
{
    for (size_t i = 0; i < program->n_batches; i++)
        batch_fini(&program->batches[i]);
    for (size_t i = 0; program->options.in && i < program->n_sentences; i++)
        free(program->sentences[i]);
    if (program->options.in)
        free(program->sentences);
    free(program->batches);
    bert_close(&program->bert);
}

int main(int argc, char **argv)
{
    struct program program = {.gpu.program = "encoder"};

    setlocale(LC_CTYPE, "C.UTF-8");
    parse_options(&program, argc, argv);
    load_sentences(&program);
    bert_open(&program.bert, &program.gpu, program.options.model);
    tokenize(&program);
    if (!program.options.show_tokens) {
        gpu_open(&program.gpu, "encoder", kernels, false);
        run(&program);
    }
    program_close(&program);
    if (!program.options.show_tokens)
        gpu_close(&program.gpu);
    return 0;
}
