/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "planner/arch.h"
#include "planner/arch_config.h"
#include "planner/demand.h"
#include "runtime/util.h"

/* Facts as text: "key=1 key=1,0,1". */
static int at(const struct arch_facts *facts, const char *key, uint64_t index, uint64_t *out)
{
    const char *item = facts->source;
    size_t n = strlen(key);
    char *end;

    while (item && (strncmp(item, key, n) != 0 || item[n] != '=')) {
        item = strchr(item, ' ');
        item += item != NULL;
    }
    if (!item)
        return -ENOENT;
    item += n + 1;
    if (strcspn(item, ",") >= strcspn(item, " "))
        index = 0;
    for (; index; index--) {
        if (strcspn(item, ",") >= strcspn(item, " "))
            return -ENOENT;
        item = strchr(item, ',') + 1;
    }
    *out = strtoull(item, &end, 10);
    return end == item ? -ERANGE : 0;
}

static struct arch arch;

static void read_config(const char *text)
{
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    arch_read_config(root, &arch);
    json_decref(root);
}

static void read_facts(const char *name, const char *text)
{
    struct arch_facts facts = {.source = text, .name = name, .name_size = strlen(name), .at = at};

    arch_read(&facts, &arch);
}

static struct workload workload(uint64_t context)
{
    struct workload work = WORKLOAD_DEFAULT;

    work.context = context;
    return work;
}

struct kept {
    const char *what, *name, *facts;
    uint64_t context, cache, state;
};

static void check(const struct kept *kept)
{
    struct workload work = workload(kept->context);
    struct demand demand;

    demand_judge(&arch, &work, &demand);
    cr_expect(demand.cache_known, "%s: %d %s", kept->what, arch.verdict,
              arch.missing ? arch.missing : "");
    cr_expect_eq(demand.cache.bytes, kept->cache, "%s: cache %llu", kept->what,
                 (unsigned long long)demand.cache.bytes);
    cr_expect_eq(demand.state.bytes, kept->state, "%s: state %llu", kept->what,
                 (unsigned long long)demand.state.bytes);
}

Test(arch, counts_what_is_kept_by_the_way_layers_remember)
{
    static const struct kept cases[] = {
        {"every head has keys", "llama",
         "block_count=2 embedding_length=512 attention.head_count=8", 256, 2 * 256 * 2 * 512 * 2,
         0},
        {"grouped heads", "llama",
         "block_count=32 embedding_length=4096 attention.head_count=32 attention.head_count_kv=8",
         8192, GIB, 0},
        {"cells are counted by 256", "llama",
         "block_count=2 embedding_length=512 attention.head_count=8", 257, 2 * 512 * 2 * 512 * 2,
         0},
        {"heads of another size, and values of another than keys", "llama",
         "block_count=1 embedding_length=512 attention.head_count=8 attention.head_count_kv=2 "
         "attention.key_length=192 attention.value_length=128",
         256, 256 * 2 * (192 + 128) * 2, 0},
        {"values that are not said are of the width's share, whatever keys are", "minicpm3",
         "block_count=1 embedding_length=512 attention.head_count=8 attention.key_length=96", 256,
         256 * 8 * (96 + 64) * 2, 0},
        {"layers without keys keep inputs of a convolution", "lfm2",
         "block_count=4 embedding_length=1024 attention.head_count=16 "
         "attention.head_count_kv=0,0,4,0 shortconv.l_cache=3",
         1024, 1024 * 4 * 64 * 2 * 2, (uint64_t)3 * 2 * 1024 * 4},
        {"a window of the last tokens, by the architecture's period", "gpt-oss",
         "block_count=36 embedding_length=2880 attention.head_count=64 attention.head_count_kv=8 "
         "attention.key_length=64 attention.value_length=64 attention.sliding_window=128",
         131072, (uint64_t)131072 * 36 * KIB + 27 * MIB, 0},
        {"by a period that the file says", "gemma3",
         "block_count=6 embedding_length=512 attention.head_count=4 attention.head_count_kv=1 "
         "attention.key_length=128 attention.value_length=128 attention.sliding_window=512 "
         "attention.sliding_window_pattern=3",
         8192, (2 * 8192 + 4 * 1024) * 512, 0},
        {"by a list", "gemma3",
         "block_count=3 embedding_length=512 attention.head_count=4 attention.head_count_kv=1 "
         "attention.key_length=128 attention.value_length=128 attention.sliding_window=512 "
         "attention.sliding_window_pattern=1,1,0",
         8192, (8192 + 2 * 1024) * 512, 0},
        {"the full layer first", "smallthinker",
         "block_count=5 embedding_length=512 attention.head_count=4 attention.head_count_kv=1 "
         "attention.key_length=128 attention.value_length=128 attention.sliding_window=512",
         8192, (2 * 8192 + 3 * 1024) * 512, 0},
        {"a window that is not said is none", "gemma2",
         "block_count=2 embedding_length=512 attention.head_count=4 attention.head_count_kv=1 "
         "attention.key_length=128 attention.value_length=128",
         8192, 2 * 8192 * 512, 0},
        {"a compressed vector", "deepseek2",
         "block_count=61 embedding_length=7168 attention.head_count=128 attention.kv_lora_rank=512 "
         "rope.dimension_count=64",
         4096, (uint64_t)4096 * 70272, 0},
        {"layers that predict further tokens keep nothing", "glm4moe",
         "block_count=3 embedding_length=512 attention.head_count=8 nextn_predict_layers=1", 256,
         2 * 256 * 2 * 512 * 2, 0},
        {"layers that share those before them keep nothing", "gemma3n",
         "block_count=4 embedding_length=512 attention.head_count=4 attention.head_count_kv=1 "
         "attention.key_length=128 attention.value_length=128 attention.shared_kv_layers=2",
         1024, 2 * 1024 * 512, 0},
        {"a state only", "mamba2",
         "block_count=2 embedding_length=512 ssm.conv_kernel=4 ssm.inner_size=1024 "
         "ssm.state_size=128 ssm.group_count=1",
         8192, 0, 2 * (3 * (1024 + 256) + 128 * 1024) * 4},
        {"a state of another shape", "rwkv6",
         "block_count=2 embedding_length=512 wkv.head_size=64 token_shift_count=2", 8192, 0,
         2 * (2 * 512 + 512 * 64) * 4},
        {"both in every layer", "falcon-h1",
         "block_count=1 embedding_length=512 attention.head_count=4 attention.head_count_kv=1 "
         "attention.key_length=64 attention.value_length=64 ssm.conv_kernel=4 ssm.inner_size=1024 "
         "ssm.state_size=128 ssm.group_count=1",
         256, 256 * 256, (3 * (1024 + 256) + 128 * 1024) * 4},
        {"every fourth layer is full", "qwen3next",
         "block_count=8 embedding_length=2048 attention.head_count=16 attention.head_count_kv=2 "
         "attention.key_length=256 attention.value_length=256 ssm.conv_kernel=4 "
         "ssm.inner_size=4096 ssm.state_size=128 ssm.group_count=16",
         1024, 2 * 1024 * 2 * 512 * 2, (uint64_t)6 * (3 * (4096 + 4096) + 128 * 4096) * 4},
        {"a matrix per head, or a compressed vector", "kimi-linear",
         "block_count=2 embedding_length=2304 attention.head_count=32 attention.head_count_kv=0,1 "
         "attention.kv_lora_rank=512 rope.dimension_count=64 ssm.conv_kernel=4 kda.head_dim=128",
         256, 256 * 576 * 2, (3 * 3 * 4096 + 128 * 128 * 32) * 4},
        {"an encoder keeps nothing", "bert",
         "block_count=6 embedding_length=384 attention.head_count=12", 512, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        read_facts(cases[i].name, cases[i].facts);
        check(&cases[i]);
    }
}

Test(arch, reads_the_words_of_config_json)
{
    static const struct kept cases[] = {
        {"Llama 3", "",
         "{\"model_type\": \"llama\", \"num_hidden_layers\": 32, \"hidden_size\": 4096, "
         "\"num_attention_heads\": 32, \"num_key_value_heads\": 8}",
         8192, GIB, 0},
        {"Qwen3-30B-A3B", "",
         "{\"model_type\": \"qwen3_moe\", \"num_hidden_layers\": 48, \"hidden_size\": 2048, "
         "\"num_attention_heads\": 32, \"num_key_value_heads\": 4, \"head_dim\": 128, "
         "\"sliding_window\": null}",
         4096, 384 * MIB, 0},
        {"gpt-oss-120b", "",
         "{\"model_type\": \"gpt_oss\", \"num_hidden_layers\": 4, \"hidden_size\": 2880, "
         "\"num_attention_heads\": 64, \"num_key_value_heads\": 8, \"head_dim\": 64, "
         "\"sliding_window\": 128, \"layer_types\": [\"sliding_attention\", \"full_attention\", "
         "\"sliding_attention\", \"full_attention\"]}",
         131072, 2 * 2048 * (131072 + 768), 0},
        {"DeepSeek V3", "",
         "{\"model_type\": \"deepseek_v3\", \"num_hidden_layers\": 61, \"hidden_size\": 7168, "
         "\"num_attention_heads\": 128, \"num_key_value_heads\": 128, \"kv_lora_rank\": 512, "
         "\"qk_rope_head_dim\": 64}",
         4096, (uint64_t)4096 * 70272, 0},
        {"Nemotron 3 Nano, in short", "",
         "{\"model_type\": \"nemotron_h\", \"num_hidden_layers\": 4, \"hidden_size\": 2688, "
         "\"num_attention_heads\": 32, \"num_key_value_heads\": 2, \"head_dim\": 128, "
         "\"hybrid_override_pattern\": \"MEM*\", \"conv_kernel\": 4, \"mamba_num_heads\": 64, "
         "\"mamba_head_dim\": 64, \"ssm_state_size\": 128, \"n_groups\": 8}",
         1024, 1024 * KIB, (uint64_t)2 * 542720 * 4},
        {"a model of text and pictures", "",
         "{\"model_type\": \"gemma3\", \"text_config\": {\"model_type\": \"gemma3_text\", "
         "\"num_hidden_layers\": 6, \"hidden_size\": 512, \"num_attention_heads\": 4, "
         "\"num_key_value_heads\": 1, \"head_dim\": 128, \"sliding_window\": 512, "
         "\"sliding_window_pattern\": 6}}",
         8192, (8192 + 5 * 1024) * 512, 0},
        {"one pair for all heads", "",
         "{\"model_type\": \"falcon\", \"hidden_size\": 512, \"num_hidden_layers\": 2, \"n"
         "um_attention_heads\": 8, \"num_kv_heads\": 8, \"multi_query\": true, \"new_decod"
         "er_architecture\": false}",
         256, 2 * 256 * 2 * 64 * 2, 0},
        {"a number of them", "",
         "{\"model_type\": \"falcon\", \"hidden_size\": 512, \"num_hidden_layers\": 2, \"n"
         "um_attention_heads\": 8, \"num_kv_heads\": 4, \"multi_query\": true, \"new_decod"
         "er_architecture\": true}",
         256, 2 * 256 * 2 * 256 * 2, 0},
        {"groups of heads", "",
         "{\"model_type\": \"chatglm\", \"hidden_size\": 512, \"num_layers\": 2, \"num_att"
         "ention_heads\": 4, \"multi_query_attention\": true, \"multi_query_group_num\": 2"
         ", \"kv_channels\": 128, \"seq_length\": 8192}",
         256, 2 * 256 * 2 * 256 * 2, 0},
        {"words in an object of their own", "",
         "{\"model_type\": \"dbrx\", \"d_model\": 512, \"n_layers\": 2, \"n_heads\": 8, \""
         "max_seq_len\": 256, \"attn_config\": {\"kv_n_heads\": 2}}",
         256, 2 * 256 * 2 * 128 * 2, 0},
        {"attention in every eighth layer", "",
         "{\"model_type\": \"jamba\", \"hidden_size\": 256, \"num_hidden_layers\": 8, \"nu"
         "m_attention_heads\": 4, \"num_key_value_heads\": 2, \"attn_layer_period\": 8, \""
         "attn_layer_offset\": 4, \"mamba_d_conv\": 4, \"mamba_d_state\": 16, \"mamba_expa"
         "nd\": 2}",
         256, 256 * 2 * 128 * 2, 7 * (3 * 512 + 16 * 512) * 4},
        {"keys of two parts", "",
         "{\"model_type\": \"minicpm3\", \"hidden_size\": 512, \"num_hidden_layers\": 1, "
         "\"num_attention_heads\": 8, \"qk_nope_head_dim\": 64, \"qk_rope_head_dim\": 32, "
         "\"v_head_dim\": 64}",
         256, 256 * 8 * (96 + 64) * 2, 0},
        {"a list of the layers with attention", "",
         "{\"model_type\": \"kimi_linear\", \"hidden_size\": 512, \"num_hidden_layers\": 4"
         ", \"num_attention_heads\": 2, \"num_key_value_heads\": 2, \"kv_lora_rank\": 512,"
         " \"qk_rope_head_dim\": 64, \"linear_attn_config\": {\"full_attn_layers\": [4], "
         "\"head_dim\": 128, \"num_heads\": 2, \"short_conv_kernel_size\": 4}}",
         256, 256 * 576 * 2, 3 * (3 * 3 * 256 + 128 * 128 * 2) * 4},
        {"a list of the layers with a window", "",
         "{\"model_type\": \"smallthinker\", \"hidden_size\": 512, \"num_hidden_layers\": "
         "4, \"num_attention_heads\": 4, \"num_key_value_heads\": 1, \"head_dim\": 128, \""
         "sliding_window_size\": 512, \"sliding_window_layout\": [0, 1, 1, 0]}",
         8192, (2 * 8192 + 2 * 1024) * 512, 0},
        {"the text of a model of text and pictures", "",
         "{\"model_type\": \"qwen3_vl\", \"text_config\": {\"model_type\": \"qwen3_vl_text"
         "\", \"hidden_size\": 512, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
         "\"num_key_value_heads\": 1, \"head_dim\": 128}}",
         256, 2 * 256 * 512, 0},
        {"a hybrid that does not say that heads share nothing", "",
         "{\"model_type\": \"lfm2\", \"num_hidden_layers\": 2, \"hidden_size\": 256, "
         "\"num_attention_heads\": 4, \"conv_L_cache\": 3, "
         "\"layer_types\": [\"conv\", \"full_attention\"]}",
         256, 256 * KIB, 2 * 256 * 4},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        read_config(cases[i].facts);
        check(&cases[i]);
    }
}

Test(arch, says_what_it_does_not_know_instead_of_guessing)
{
    static const struct {
        const char *name, *facts;
        enum arch_verdict verdict;
        const char *missing;
    } cases[] = {
        {"", "", ARCH_UNNAMED, NULL},
        {"perceptron", "block_count=2", ARCH_UNKNOWN, NULL},
        {"llama", "", ARCH_INCOMPLETE, "block_count"},
        {"llama", "block_count=0 embedding_length=8", ARCH_WRONG, "block_count"},
        {"llama", "block_count=1000000 embedding_length=8", ARCH_WRONG, "block_count"},
        {"llama", "block_count=2 embedding_length=8", ARCH_INCOMPLETE, "attention.head_count"},
        {"llama", "block_count=2 embedding_length=8 attention.head_count=8,x", ARCH_WRONG,
         "attention.head_count"},
        {"mamba", "block_count=2 embedding_length=8 ssm.conv_kernel=4", ARCH_INCOMPLETE,
         "ssm.inner_size"},
        {"deepseek2", "block_count=2 embedding_length=8 attention.head_count=8", ARCH_INCOMPLETE,
         "attention.kv_lora_rank"},
        {"llama", "block_count=2 embedding_length=99999999999999999999", ARCH_WRONG,
         "embedding_length"},
        {"llama",
         "block_count=2 embedding_length=8 attention.head_count=0 "
         "attention.head_count_kv=1 attention.key_length=8",
         ARCH_WRONG, "attention.head_count"},
        {"llama", "block_count=2 embedding_length=8 attention.head_count=1 attention.key_length=0",
         ARCH_WRONG, "attention.key_length"},
        {"llama",
         "block_count=3 embedding_length=8 attention.head_count=1 "
         "attention.head_count_kv=1,1",
         ARCH_WRONG, "attention.head_count_kv"},
        {"llama",
         "block_count=1 embedding_length=8 attention.head_count=1 "
         "attention.head_count_kv=1,1",
         ARCH_WRONG, "attention.head_count_kv"},
        {"llama",
         "block_count=1 embedding_length=8 attention.head_count=1 expert_count=8 "
         "expert_used_count=9",
         ARCH_WRONG, "expert_used_count"},
        {"perceptron", "context_length=9223372036854775808", ARCH_WRONG, "context_length"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct workload work = workload(4096);
        struct demand demand;

        read_facts(cases[i].name, cases[i].facts);
        demand_judge(&arch, &work, &demand);
        cr_expect_eq(arch.verdict, cases[i].verdict, "case %zu: %d", i, arch.verdict);
        cr_expect_not(demand.cache_known, "case %zu", i);
        cr_expect_eq(demand.cache.bytes, 0, "case %zu", i);
        if (cases[i].missing)
            cr_expect_str_eq(arch.missing, cases[i].missing, "case %zu", i);
    }
}

Test(arch, does_not_guess_which_layer_keeps_what)
{
    read_config("{\"model_type\": \"plamo2\", \"hidden_size\": 512, \"num_hidden_layers\": 4, "
                "\"num_attention_heads\": 4, \"num_key_value_heads\": 1, \"mamba_step\": 2}");
    cr_expect_eq(arch.verdict, ARCH_UNKNOWN);
    cr_expect_str_eq(arch.name, "plamo2, as its config.json has it");
}

Test(arch, takes_no_config_for_one_that_is_none)
{
    static const char *const texts[] = {"", "[]", "{", "{\"model_type\": 3}", "{}", "null"};

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        read_config(texts[i]);
        cr_expect_eq(arch.verdict, ARCH_UNNAMED, "%s", texts[i]);
    }
}

Test(arch, counts_sequences_and_types_of_the_cache)
{
    static const char facts[] =
        "block_count=2 embedding_length=512 attention.head_count=4 attention.head_count_kv=1 "
        "attention.key_length=128 attention.value_length=128 attention.sliding_window=512 "
        "attention.sliding_window_pattern=2";
    static const struct {
        const char *kv;
        uint32_t batch;
        bool split;
        uint64_t bytes; /* of 8192 tokens */
    } cases[] = {
        {"f16", 1, false, (8192 + 1024) * 512},
        {"f16", 4, false, (8192 + 2560) * 512},
        {"f16", 4, true, 4 * (2048 + 1024) * 512},
        {"f16", 64, false, (8192 + 8192) * 512}, /* no window is larger than the whole */
        {"q8_0", 1, false, (8192 + 1024) * 272},
        {"q5_1", 1, false, (8192 + 1024) * 192},
        {"q5_0", 1, false, (8192 + 1024) * 176},
        {"q4_1", 1, false, (8192 + 1024) * 160},
        {"q4_0", 1, false, (8192 + 1024) * 144},
        {"iq4_nl", 1, false, (8192 + 1024) * 144},
        {"f32", 1, false, (8192 + 1024) * 1024},
    };

    read_facts("gemma3", facts);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct workload work = workload(8192);
        struct demand demand;

        work.batch = cases[i].batch;
        work.split = cases[i].split;
        work.keys = work.values = kv_type_find(cases[i].kv);
        demand_judge(&arch, &work, &demand);
        cr_expect_eq(demand.cache.bytes, cases[i].bytes, "case %zu: %llu", i,
                     (unsigned long long)demand.cache.bytes);
    }
}

Test(arch, asks_for_no_more_context_than_is_usual_unless_told)
{
    struct workload work = workload(0);

    read_facts("llama", "context_length=262144");
    cr_expect_eq(demand_context(&arch, &work), WORKLOAD_CONTEXT);
    read_facts("llama", "context_length=2048");
    cr_expect_eq(demand_context(&arch, &work), 2048);
    work.context = 100000;
    cr_expect_eq(demand_context(&arch, &work), 100000);
}

Test(arch, knows_what_grows_with_width_words_and_tokens)
{
    static const struct {
        const char *what, *name, *facts, *type;
        uint32_t batch;
        double bytes;
    } cases[] = {
        {"one sequence", "llama", "", "f16", 1, 1.15 * 16 * 4096 * 512 + 8192 * 3.0 * 512},
        {"words of four", "llama", "", "f16", 4,
         1.15 * (16.0 * 4096 * 512 + 4.0 * 1000 * 512 * 3) + 8192 * 3.0 * 512},
        {"a cache to be unpacked", "llama", "", "q8_0", 1,
         1.15 * 16 * 4096 * 512 + 8192 * 2.25 * 4096},
        {"a compressed one", "deepseek2", " attention.kv_lora_rank=512 rope.dimension_count=64",
         "q8_0", 1, 1.15 * 16 * 4096 * 512 + 8192 * 1.25 * 4096},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct workload work = workload(8192);
        struct demand demand;
        char facts[256];

        snprintf(facts, sizeof(facts),
                 "block_count=2 embedding_length=4096 vocab_size=1000 attention.head_count=32%s",
                 cases[i].facts);
        read_facts(cases[i].name, facts);
        work.batch = cases[i].batch;
        work.keys = work.values = kv_type_find(cases[i].type);
        demand_judge(&arch, &work, &demand);
        cr_expect_eq(demand.compute.bytes, (uint64_t)cases[i].bytes, "%s: %llu", cases[i].what,
                     (unsigned long long)demand.compute.bytes);
    }
}

Test(arch, does_not_overflow_on_absurd_numbers)
{
    struct workload work = workload((uint64_t)1 << 32);
    struct demand demand;

    work.batch = 65536;
    read_facts("falcon-h1", "block_count=1024 embedding_length=1073741824 attention.head_count=1 "
                            "attention.head_count_kv=1073741824 attention.key_length=1073741824 "
                            "ssm.conv_kernel=64 ssm.inner_size=1073741824 ssm.state_size=1048576 "
                            "ssm.group_count=4096");
    demand_judge(&arch, &work, &demand);
    cr_expect_gt(demand.cache.bytes, (uint64_t)1 << 59);
    cr_expect_gt(demand.state.bytes, (uint64_t)1 << 59);
    cr_expect_gt(demand_sum(&demand, NULL), demand.cache.bytes);
}
