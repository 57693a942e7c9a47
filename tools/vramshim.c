/* SPDX-License-Identifier: MIT */
/*
 * vramshim: the command line around the preload library.
 *
 * `run` does nothing that a shell line could not do: it sets VRAMSHIM_* and LD_PRELOAD and becomes
 * the program. Its options are the rows of settings.def, so there is one list of them. Values are
 * checked here, where a person is looking, instead of becoming a warning in the program's output.
 *
 * Exit status of `run`, as of env(1): 125 when vramshim itself failed, 126 when the program could
 * not be run, 127 when it was not found, else the program's own.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/config.h"
#include "runtime/nearest.h"
#include "runtime/util.h"

#define PREFIX      "VRAMSHIM_"
#define LIBRARY     "libvramshim.so"
#define MAX_OPTIONS 64

enum status {
    STATUS_OK = 0,
    STATUS_FAILED = 125,
    STATUS_CANNOT_RUN = 126,
    STATUS_NOT_FOUND = 127,
};

static int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int complain(const char *format, ...)
{
    va_list args;

    fputs("vramshim: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return STATUS_FAILED;
}

/* VRAMSHIM_LOG_FILE as the option --log-file. */
static void option_name(const struct setting *setting, char *out, size_t size)
{
    int n = snprintf(out, size, "--%s", setting->name + strlen(PREFIX));

    for (int i = 2; i < n && i < (int)size; i++)
        out[i] = out[i] == '_' ? '-' : tolower((unsigned char)out[i]);
}

/* An option without its value: "--vram=8GiB" is 6 long. */
static size_t option_length(const char *argument)
{
    return strcspn(argument, "=");
}

static const struct setting *find_option(const char *argument)
{
    const struct setting *setting;

    for (size_t i = 0; (setting = config_setting(i)); i++) {
        char name[64];

        option_name(setting, name, sizeof(name));
        if (strlen(name) == option_length(argument) && memcmp(name, argument, strlen(name)) == 0)
            return setting;
    }
    return NULL;
}

static int complain_of_option(const char *argument)
{
    static char names[MAX_OPTIONS][64];
    const char *choices[MAX_OPTIONS + 2] = {"--lib", "--help"};
    char given[64];
    size_t n = 2;

    for (size_t i = 0; i < MAX_OPTIONS && config_setting(i); i++) {
        option_name(config_setting(i), names[i], sizeof(names[i]));
        choices[n++] = names[i];
    }
    snprintf(given, sizeof(given), "%.*s", (int)option_length(argument), argument);
    return complain("run has no option %s; did you mean %s?", given,
                    nearest_choice(given, choices, n));
}

/* What `run` was asked for. */
struct request {
    const char *library; /* NULL: the one that belongs to this program */
    bool help;
    char **command; /* NULL-terminated; the program and its arguments */
};

/* Puts one setting into the environment; `value` NULL is a switch turned on. */
static int apply_setting(const struct setting *setting, const char *option, const char *value)
{
    if (!value)
        value = "1";
    if (!config_accepts(setting, value))
        return complain("%.*s \"%s\" is not %s", (int)option_length(option), option, value,
                        config_describes(setting));
    if (setenv(setting->name, value, 1) != 0)
        return complain("cannot set %s: %s", setting->name, strerror(errno));
    return STATUS_OK;
}

/* Takes the option at `*at` and its value, and moves `*at` behind them. */
static int take_option(char ***at, struct request *request)
{
    const char *option = *(*at)++;
    const char *value = strchr(option, '=');
    const struct setting *setting = find_option(option);
    bool is_library = option_length(option) == 5 && memcmp(option, "--lib", 5) == 0;

    if (!setting && !is_library)
        return complain_of_option(option);
    if (value)
        value++;
    else if (is_library || !config_is_switch(setting)) {
        if (!**at)
            return complain("%s needs a value: %s", option,
                            is_library ? "the path of " LIBRARY : config_describes(setting));
        value = *(*at)++;
    }
    if (is_library) {
        request->library = value;
        return STATUS_OK;
    }
    return apply_setting(setting, option, value);
}

static int parse_run(char **arguments, struct request *out)
{
    while (*arguments && (*arguments)[0] == '-') {
        int status;

        if (strcmp(*arguments, "--") == 0) {
            arguments++;
            break;
        }
        if (strcmp(*arguments, "--help") == 0 || strcmp(*arguments, "-h") == 0) {
            out->help = true;
            return STATUS_OK;
        }
        status = take_option(&arguments, out);
        if (status)
            return status;
    }
    if (!*arguments)
        return complain("no program to run; usage: vramshim run [options] -- program [arguments]");
    out->command = arguments;
    return STATUS_OK;
}

/* Where the library lies, seen from this program's folder: built, installed, or copied beside. */
static const char *const library_places[] = {
    "../interpose/" LIBRARY,
    LIBRARY_FROM_BINDIR "/" LIBRARY,
    LIBRARY,
};

static int find_library(char *out, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (n < 0)
        return complain("cannot find " LIBRARY ": /proc/self/exe: %s; name it with --lib",
                        strerror(errno));
    self[n] = '\0';
    slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(library_places); i++) {
        char place[2 * PATH_MAX];
        char real[PATH_MAX];

        snprintf(place, sizeof(place), "%s/%s", self, library_places[i]);
        if (realpath(place, real)) {
            snprintf(out, size, "%s", real);
            return STATUS_OK;
        }
    }
    return complain(LIBRARY " is not near %s; build it with ninja, or name it with --lib", self);
}

static int preload(const char *library)
{
    const char *before = getenv("LD_PRELOAD");
    char *value;
    int r;

    if (strpbrk(library, " :"))
        return complain("%s cannot be preloaded: the loader takes a space or colon in the name "
                        "for a separator; move it",
                        library);
    if (access(library, R_OK) != 0)
        return complain("cannot read %s: %s", library, strerror(errno));
    if (asprintf(&value, "%s%s%s", library, before && *before ? ":" : "", before ? before : "") < 0)
        return complain("out of memory");
    r = setenv("LD_PRELOAD", value, 1);
    free(value);
    return r == 0 ? STATUS_OK : complain("cannot set LD_PRELOAD: %s", strerror(errno));
}

static void print_run_help(void)
{
    puts("usage: vramshim run [options] [--] program [arguments]\n\n"
         "Runs a CUDA program with " LIBRARY " preloaded. Options:\n");
    for (size_t i = 0; config_setting(i); i++) {
        const struct setting *setting = config_setting(i);
        char name[64];

        option_name(setting, name, sizeof(name));
        printf("  %s%s\n      %s\n", name, config_is_switch(setting) ? "" : " VALUE",
               setting->help);
        if (!config_is_switch(setting))
            printf("      %s; default %s\n", config_describes(setting),
                   setting->fallback[0] ? setting->fallback : "(empty)");
    }
    puts("  --lib PATH\n      the library, when it is not the one built or installed with this "
         "program\n\n"
         "Exit status: 125 vramshim failed, 126 the program cannot be run, 127 it was not found,\n"
         "else the program's own.\n\n"
         "Examples:\n"
         "  vramshim run --vram 8GiB -- ./llama-cli -m model.gguf\n"
         "  vramshim run --vram=-1GiB --ram 50% --summary -- python3 generate.py");
}

static int run_main(char **arguments)
{
    struct request request = {0};
    char found[PATH_MAX];
    int status = parse_run(arguments, &request);
    int error;

    if (status)
        return status;
    if (request.help) {
        print_run_help();
        return STATUS_OK;
    }
    if (!request.library) {
        status = find_library(found, sizeof(found));
    } else if (!realpath(request.library, found)) {
        status = complain("cannot read %s: %s", request.library, strerror(errno));
    }
    if (!status)
        status = preload(found);
    if (status)
        return status;

    execvp(request.command[0], request.command);
    error = errno;
    complain("cannot run %s: %s", request.command[0], strerror(error));
    return error == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

static int settings_main(char **arguments)
{
    if (*arguments)
        return complain("settings takes no argument; it prints the table of settings");
    config_print_table(STDOUT_FILENO);
    return STATUS_OK;
}

static int version_main(char **arguments)
{
    puts("vramshim " VRAMSHIM_VERSION);
    return STATUS_OK;
}

static int help_main(char **arguments);

static const struct command {
    const char *name;
    int (*main)(char **arguments);
    const char *summary;
} commands[] = {
    {"run", run_main, "run a CUDA program with more memory than the card has"},
    {"settings", settings_main, "print every setting with its default and meaning"},
    {"help", help_main, "print this text, or that of a command: vramshim help run"},
    {"version", version_main, "print the version"},
};

static int help_main(char **arguments)
{
    if (*arguments && strcmp(*arguments, "run") == 0) {
        print_run_help();
        return STATUS_OK;
    }
    puts("usage: vramshim command [arguments]\n\n"
         "Runs unmodified CUDA programs whose memory does not fit on the card.\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    puts("\nExamples:\n"
         "  vramshim run --vram 8GiB -- ./llama-cli -m model.gguf\n"
         "  vramshim help run\n\n"
         "How much of a model fits: vramshim-plan model.gguf --vram 8GiB");
    return STATUS_OK;
}

static const struct command *find_command(const char *name)
{
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *names[ARRAY_SIZE(commands)];
    const struct command *command;

    if (argc < 2)
        return complain("no command; try: vramshim help");
    command = find_command(argv[1]);
    if (command)
        return command->main(argv + 2);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        names[i] = commands[i].name;
    return complain("no command is called %s; did you mean %s?", argv[1],
                    nearest_choice(argv[1], names, ARRAY_SIZE(names)));
}
