/* SPDX-License-Identifier: MIT */
/*
 * generate: runs a llama-architecture GGUF model on the GPU, token after token.
 *
 * An ordinary program that links with -lcuda. Every token reads every weight once, in the same
 * order: the access pattern of decoding, which is what memory that is too small suffers from. By
 * default all weights are in one allocation that mirrors the file, as ggml has it. Prompts are
 * given as token ids; the prompt is run through the same path, one token at a time.
 *
 * The arithmetic is always done in the same order, so equal input gives equal bits.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/util.h"
#include "tests/apps/llama.h"

static const char kernels[] =
#include "llama.ptx.h"
    ;

enum {
    WARP = 32,
    MATVEC_THREADS = 128,
    NORM_THREADS = 256,
    MAP_THREADS = 128,
    MAX_TOKENS = 8192, /* attention keeps one float per position in 48 KiB of shared memory */
};

struct buffers {
    CUdeviceptr token, x, normed, q, mixed, gate, up, logits, turns;
    CUdeviceptr keys, values; /* [layer][position][kv_width] */
};

struct functions {
    CUfunction embed[LLAMA_N_KINDS], matvec[LLAMA_N_KINDS];
    CUfunction rms_norm, rope, attention, swiglu;
};

struct options {
    const char *model, *logits;
    int32_t prompt[MAX_TOKENS];
    unsigned int n_prompt, n;
    double temperature;
    uint64_t seed;
    enum model_layout layout;
};

struct program {
    struct gpu gpu;
    struct llama llama;
    struct functions functions;
    struct buffers buffers;
    struct options options;
    unsigned int n_positions; /* that the caches hold */
    float *logits;
    FILE *logits_file;
    uint64_t random;
};

static void find_functions(struct program *program)
{
    struct functions *f = &program->functions;
    char name[32];

    for (size_t i = 0; i < LLAMA_N_KINDS; i++) {
        snprintf(name, sizeof(name), "embed_%s", llama_kinds[i].name);
        f->embed[i] = gpu_function(&program->gpu, name);
        snprintf(name, sizeof(name), "matvec_%s", llama_kinds[i].name);
        f->matvec[i] = gpu_function(&program->gpu, name);
    }
    f->rms_norm = gpu_function(&program->gpu, "rms_norm");
    f->rope = gpu_function(&program->gpu, "rope");
    f->attention = gpu_function(&program->gpu, "attention");
    f->swiglu = gpu_function(&program->gpu, "swiglu");
}

/* Cosine and sine of every angle at every position, for the rope kernel: computed here, in double
 * precision, because the device's own sine is not precise at large angles. */
static void upload_turns(struct program *program)
{
    const struct llama *llama = &program->llama;
    const float *factors =
        llama->rope_factors ? model_data(&llama->model, llama->rope_factors) : NULL;
    size_t count = (size_t)program->n_positions * llama->n_pairs * 2;
    float *turns = calloc(count, sizeof(*turns)), *at = turns;

    if (!turns)
        gpu_die(&program->gpu, "out of memory");
    for (unsigned int position = 0; position < program->n_positions; position++) {
        for (unsigned int i = 0; i < llama->n_pairs; i++, at += 2) {
            double angle =
                position * llama->rope_scale * pow(llama->rope_base, -(double)i / llama->n_pairs);

            angle /= factors ? (double)factors[i] : 1.0;
            at[0] = (float)cos(angle);
            at[1] = (float)sin(angle);
        }
    }
    program->buffers.turns = gpu_alloc(&program->gpu, count * sizeof(*turns), "rope angles");
    gpu_upload(&program->gpu, program->buffers.turns, turns, count * sizeof(*turns));
    free(turns);
}

static void buffers_open(struct program *program)
{
    const struct llama *llama = &program->llama;
    const struct gpu *gpu = &program->gpu;
    struct buffers *b = &program->buffers;
    size_t row = sizeof(float) * llama->width;
    size_t q_row = sizeof(float) * llama->n_heads * llama->head_size;
    size_t cache = sizeof(float) * llama->kv_width * program->n_positions * llama->n_layers;

    b->token = gpu_alloc(gpu, sizeof(int32_t), "the token");
    b->x = gpu_alloc(gpu, row, "activations");
    b->normed = gpu_alloc(gpu, row, "activations");
    b->q = gpu_alloc(gpu, q_row, "activations");
    b->mixed = gpu_alloc(gpu, q_row, "activations");
    b->gate = gpu_alloc(gpu, sizeof(float) * llama->hidden, "activations");
    b->up = gpu_alloc(gpu, sizeof(float) * llama->hidden, "activations");
    b->logits = gpu_alloc(gpu, sizeof(float) * llama->vocabulary, "logits");
    b->keys = gpu_alloc(gpu, cache, "the key cache");
    b->values = gpu_alloc(gpu, cache, "the value cache");
}

static void buffers_close(struct program *program)
{
    const struct buffers *b = &program->buffers;
    const CUdeviceptr all[] = {b->token, b->x,      b->normed, b->q,    b->mixed, b->gate,
                               b->up,    b->logits, b->turns,  b->keys, b->values};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        gpu_free(&program->gpu, all[i]);
}

static void run_embed(struct program *program)
{
    struct llama *llama = &program->llama;
    const struct llama_kind *kind = &llama_kinds[llama->embedding.kind];
    CUdeviceptr table = model_at(&llama->model, llama->embedding.tensor);
    void *params[] = {&program->buffers.x, &table, &program->buffers.token, &llama->width};
    unsigned int blocks = gpu_blocks(llama->width, MAP_THREADS * kind->per_thread);

    gpu_launch(&program->gpu, program->functions.embed[llama->embedding.kind],
               (struct gpu_shape){blocks, 1, MAP_THREADS, 0}, params);
}

/* out = matrix in + residual; residual 0: none. */
static void run_matvec(struct program *program, const struct llama_matrix *matrix, CUdeviceptr in,
                       CUdeviceptr out, CUdeviceptr residual)
{
    CUdeviceptr weight = model_at(&program->llama.model, matrix->tensor);
    unsigned int n_in = matrix->n_in, n_out = matrix->n_out;
    void *params[] = {&out, &weight, &in, &residual, &n_in, &n_out};
    unsigned int blocks = gpu_blocks(n_out, MATVEC_THREADS / WARP);

    gpu_launch(&program->gpu, program->functions.matvec[matrix->kind],
               (struct gpu_shape){blocks, 1, MATVEC_THREADS, 0}, params);
}

static void run_norm(struct program *program, const struct tensor *weights)
{
    struct llama *llama = &program->llama;
    CUdeviceptr weight = model_at(&llama->model, weights);
    void *params[] = {&program->buffers.normed, &program->buffers.x, &weight, &llama->width,
                      &llama->epsilon};

    gpu_launch(&program->gpu, program->functions.rms_norm,
               (struct gpu_shape){1, 1, NORM_THREADS, 0}, params);
}

static void run_rope(struct program *program, CUdeviceptr x, unsigned int n_heads,
                     unsigned int position)
{
    struct llama *llama = &program->llama;
    CUdeviceptr turns =
        program->buffers.turns + (CUdeviceptr)position * llama->n_pairs * 2 * sizeof(float);
    void *params[] = {&x, &turns, &llama->head_size, &llama->n_pairs};

    gpu_launch(&program->gpu, program->functions.rope, (struct gpu_shape){n_heads, 1, WARP, 0},
               params);
}

static void run_attention(struct program *program, CUdeviceptr keys, CUdeviceptr values,
                          unsigned int position)
{
    struct llama *llama = &program->llama;
    struct buffers *b = &program->buffers;
    unsigned int n = position + 1, group = llama->n_heads / llama->n_kv_heads;
    float scale = 1.0f / sqrtf((float)llama->head_size);
    void *params[] = {&b->mixed,        &b->q, &keys, &values, &n, &llama->head_size, &group,
                      &llama->kv_width, &scale};
    struct gpu_shape shape = {llama->n_heads, 1, WARP, n * (unsigned int)sizeof(float)};

    gpu_launch(&program->gpu, program->functions.attention, shape, params);
}

static void run_swiglu(struct program *program)
{
    struct llama *llama = &program->llama;
    void *params[] = {&program->buffers.gate, &program->buffers.up, &llama->hidden};

    gpu_launch(&program->gpu, program->functions.swiglu,
               (struct gpu_shape){gpu_blocks(llama->hidden, MAP_THREADS), 1, MAP_THREADS, 0},
               params);
}

static void run_layer(struct program *program, unsigned int i, unsigned int position)
{
    const struct llama *llama = &program->llama;
    const struct llama_layer *layer = &llama->layers[i];
    struct buffers *b = &program->buffers;
    CUdeviceptr row = sizeof(float) * llama->kv_width;
    CUdeviceptr past = row * program->n_positions * i;
    CUdeviceptr keys = b->keys + past, values = b->values + past;

    run_norm(program, layer->attention_norm);
    run_matvec(program, &layer->q, b->normed, b->q, 0);
    run_matvec(program, &layer->k, b->normed, keys + row * position, 0);
    run_matvec(program, &layer->v, b->normed, values + row * position, 0);
    run_rope(program, b->q, llama->n_heads, position);
    run_rope(program, keys + row * position, llama->n_kv_heads, position);
    run_attention(program, keys, values, position);
    run_matvec(program, &layer->out, b->mixed, b->x, b->x);

    run_norm(program, layer->ffn_norm);
    run_matvec(program, &layer->gate, b->normed, b->gate, 0);
    run_matvec(program, &layer->up, b->normed, b->up, 0);
    run_swiglu(program);
    run_matvec(program, &layer->down, b->gate, b->x, b->x);
}

/* Runs one token; its logits are in program->logits afterwards. */
static void run_token(struct program *program, int32_t token, unsigned int position)
{
    const struct llama *llama = &program->llama;
    struct buffers *b = &program->buffers;

    gpu_upload(&program->gpu, b->token, &token, sizeof(token));
    run_embed(program);
    for (unsigned int i = 0; i < llama->n_layers; i++)
        run_layer(program, i, position);
    run_norm(program, llama->output_norm);
    run_matvec(program, &llama->output, b->normed, b->logits, 0);
    gpu_download(&program->gpu, program->logits, b->logits, sizeof(float) * llama->vocabulary);
    if (program->logits_file && fwrite(program->logits, sizeof(float), llama->vocabulary,
                                       program->logits_file) != llama->vocabulary)
        gpu_die(&program->gpu, "%s: %s", program->options.logits, strerror(errno));
}

static int32_t choose_largest(const struct program *program)
{
    int32_t best = 0;

    for (unsigned int i = 1; i < program->llama.vocabulary; i++) {
        if (program->logits[i] > program->logits[best])
            best = (int32_t)i;
    }
    return best;
}

/* Uniform in [0, 1): the splitmix64 generator. */
static double next_random(struct program *program)
{
    uint64_t z = program->random += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static int32_t choose(struct program *program)
{
    int32_t best = choose_largest(program);
    double sum = 0, wanted;

    if (program->options.temperature <= 0)
        return best;
    for (unsigned int i = 0; i < program->llama.vocabulary; i++)
        sum += exp((program->logits[i] - program->logits[best]) / program->options.temperature);
    wanted = next_random(program) * sum;
    for (unsigned int i = 0; i < program->llama.vocabulary; i++) {
        wanted -= exp((program->logits[i] - program->logits[best]) / program->options.temperature);
        if (wanted < 0)
            return (int32_t)i;
    }
    return best;
}

static void generate(struct program *program)
{
    const struct options *options = &program->options;
    int32_t token = options->prompt[0];

    for (unsigned int i = 0; i < program->n_positions; i++) {
        run_token(program, token, i);
        if (i + 1 < options->n_prompt) {
            token = options->prompt[i + 1];
            continue;
        }
        token = choose(program);
        printf("%s%" PRId32, i + 1 > options->n_prompt ? " " : "", token);
        fflush(stdout);
    }
    putchar('\n');
}

static const char usage[] =
    "usage: generate --model FILE [--prompt-tokens 1,2,3] [--n N] [--logits FILE]\n"
    "                [--alloc slab|tensor] [--temperature T] [--seed S]\n"
    "  --model FILE          a GGUF file of architecture llama; F32, F16, Q8_0, Q4_0 weights\n"
    "  --prompt-tokens LIST  token ids of the prompt (default 1)\n"
    "  --n N                 tokens to generate (default 16)\n"
    "  --logits FILE         write every step's logits as raw float32, prompt steps included\n"
    "  --alloc slab          all weights in one allocation (default)\n"
    "  --alloc tensor        one allocation per tensor\n"
    "  --temperature T       sample instead of taking the likeliest token\n"
    "  --seed S              of the sampling (default 1)\n"
    "Generated token ids go to standard output.\n";

__attribute__((noreturn)) static void misused(void)
{
    fputs(usage, stderr);
    exit(2);
}

static unsigned int parse_prompt(const char *text, int32_t out[MAX_TOKENS])
{
    unsigned int n = 0;

    for (const char *at = text;; at++) {
        char *end;
        unsigned long token = strtoul(at, &end, 10);

        if (end == at || token > INT32_MAX || n == MAX_TOKENS || (*end && *end != ','))
            misused();
        out[n++] = (int32_t)token;
        at = end;
        if (!*end)
            return n;
    }
}

static void parse_option(struct options *options, int name)
{
    if (name == 'm')
        options->model = optarg;
    else if (name == 'l')
        options->logits = optarg;
    else if (name == 'p')
        options->n_prompt = parse_prompt(optarg, options->prompt);
    else if (name == 'n')
        options->n = (unsigned int)min_u64(strtoul(optarg, NULL, 10), MAX_TOKENS);
    else if (name == 't')
        options->temperature = strtod(optarg, NULL);
    else if (name == 's')
        options->seed = strtoull(optarg, NULL, 10);
    else if (name == 'a' && !strcmp(optarg, "tensor"))
        options->layout = MODEL_PER_TENSOR;
    else if (name == 'a' && !strcmp(optarg, "slab"))
        options->layout = MODEL_SLAB;
    else if (name == 'h')
        exit(printf("%s", usage) < 0);
    else
        misused();
}

static void parse_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"model", required_argument, NULL, 'm'},
        {"logits", required_argument, NULL, 'l'},
        {"prompt-tokens", required_argument, NULL, 'p'},
        {"n", required_argument, NULL, 'n'},
        {"temperature", required_argument, NULL, 't'},
        {"seed", required_argument, NULL, 's'},
        {"alloc", required_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int name;

    options->prompt[0] = 1;
    options->n_prompt = 1;
    options->n = 16;
    options->seed = 1;
    options->layout = MODEL_SLAB;
    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1)
        parse_option(options, name);
    if (!options->model || optind < argc || options->n == 0)
        misused();
}

static void check_prompt(const struct program *program)
{
    const struct options *options = &program->options;

    if (options->n_prompt + options->n > MAX_TOKENS) {
        gpu_die(&program->gpu, "%u prompt tokens and %u to generate are more than %d",
                options->n_prompt, options->n, MAX_TOKENS);
    }
    for (unsigned int i = 0; i < options->n_prompt; i++) {
        if ((uint32_t)options->prompt[i] >= program->llama.vocabulary) {
            gpu_die(&program->gpu, "prompt token %" PRId32 " is not in the vocabulary of %u",
                    options->prompt[i], program->llama.vocabulary);
        }
    }
}

static void open_logits(struct program *program)
{
    program->logits = calloc(program->llama.vocabulary, sizeof(*program->logits));
    if (!program->logits)
        gpu_die(&program->gpu, "out of memory");
    if (!program->options.logits)
        return;
    program->logits_file = fopen(program->options.logits, "wb");
    if (!program->logits_file)
        gpu_die(&program->gpu, "%s: %s", program->options.logits, strerror(errno));
}

static struct program program = {.gpu.program = "generate"};

int main(int argc, char **argv)
{
    parse_options(&program.options, argc, argv);
    llama_open(&program.llama, &program.gpu, program.options.model);
    check_prompt(&program);
    program.random = program.options.seed;
    program.n_positions = program.options.n_prompt + program.options.n - 1;
    open_logits(&program);

    gpu_open(&program.gpu, "generate", kernels, true);
    find_functions(&program);
    model_upload(&program.llama.model, program.options.layout);
    upload_turns(&program);
    buffers_open(&program);
    generate(&program);

    if (program.logits_file && fclose(program.logits_file))
        gpu_die(&program.gpu, "%s: %s", program.options.logits, strerror(errno));
    buffers_close(&program);
    llama_close(&program.llama);
    free(program.logits);
    gpu_close(&program.gpu);
    return 0;
}
