// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* main.c   A table of subcommands and the only exit. */
#include "cmd/commands.h"
#include "machine/host.h"
#include "machine/threads.h"
#include "variant/library.h"

#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int cmd_worker(int argc, char **argv, struct fault *fault)
{
    static const struct {
        const char *name;
        int (*run)(int, char **, struct fault *);
    } kinds[] = {
#define WORKER_ROW(kind) {#kind, worker_##kind},
        WORKER_LIST(WORKER_ROW)
#undef WORKER_ROW
    };
    for (size_t i = 0; argc > 0 && i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strcmp(argv[0], kinds[i].name))
            return kinds[i].run(argc - 1, argv + 1, fault);
    fault_set(fault, ST_BAD_INPUT, "'worker' is for this program's own use");
    return EXIT_INPUT;
}

static void help_worker(FILE *out) { fputs("  for this program's own use\n", out); }

const struct subcommand subcommands[] = {
    {"generate", "--prompt TEXT [options] -o FILE", "make a clip or a still from a prompt",
     "generate --model tiny --prompt \"a red ball rolls to the left\" --size 128x72 --frames 17"
     " --steps 4 -o a.mp4\n"
     "generate --prompt \"a lighthouse\" --size 96x96 --frames 1 -o still.png\n"
     "generate --model wan2.1-t2v-1.3b --size 832x480 --frames 81 --dry-run\n"
     "generate --model tiny-dit --class 3 --dump latents\n",
     cmd_generate, help_generate, false, "clips"},
    {"reconstruct", "FILE -o FILE", "a clip or still through the video autoencoder and back",
     "reconstruct clip.mp4 -o again.mp4\n"
     "reconstruct photo.png --model wan2.1-t2v-1.3b --size 832x480 --tile 256 -o again.png\n",
     cmd_reconstruct, help_reconstruct, false},
    {"verify", "[GLOB]", "hold every variant against the reference",
     "verify\n"
     "verify 'attention/*'\n"
     "verify linear --shape linear:S=33,K=100,O=7,epilogue=gelu,type=f32\n",
     cmd_verify, help_verify, false, "right, and how fast"},
    {"kernels", "[GLOB|OP/VARIANT:KNOB=N,...] [--shape LINE]",
     "verify and time the variants of an op",
     "kernels linear\n"
     "kernels 'attention/avx2_*' --shape attention:Sq=1560,Sk=1560,N=12,D=128,type=f32\n"
     "kernels OP/VARIANT:rows=96,depth=256@threads=1\n",
     cmd_kernels, help_kernels, false},
    {"run", "--model M --size LIST --seconds LIST", "time the whole pipeline over many shapes",
     "run --model tiny --size 128x72,72x128 --frames 1,17-49+16 --steps 4\n"
     "run --suite quick --dry-run\n"
     "run --model tiny --size 128x72 --frames 17 --kernels base/auto --threads 1-8*2\n"
     "run --size 128x72 --frames 17 --steps 4 --threads 1 --replicas 1,2\n"
     "run --resume\n"
     "run --engine \"default;python3 harness/engines/diffusers_wan.py\" --model FOLDER\n",
     cmd_run, help_run, false},
    {"tune", "[GLOB] --shapes WHAT", "find the fastest variants and knobs for a model's shapes",
     "tune --shapes tiny --size 128x72 --frames 17 --budget 60s\n"
     "tune linear --shapes linear:S=1024,K=1536,O=1536,type=f32 --budget 20s\n"
     "tune --check --shapes tiny --size 128x72 --frames 17\n",
     cmd_tune, help_tune, false},
    {"compare", "--interleave A B | OLD.jsonl NEW.jsonl", "is B faster than A? a tested answer",
     "compare --interleave OP/VARIANT OP/OTHER\n"
     "compare --interleave OP/VARIANT OP/VARIANT:rows=48 --budget 30 --gate\n"
     "compare --interleave OP/VARIANT@bin=old/patchmark OP/VARIANT\n",
     cmd_compare, help_compare, false, "what to believe"},
    {"calibrate", "[OP...]", "how far apart equal arms come out here: compare's floor",
     "calibrate\n"
     "calibrate linear attention --threads 2 --budget 300\n",
     cmd_calibrate, help_calibrate, false},
    {"selftest", "", "is compare to be believed? long; 'make selftest'",
     "selftest\n"
     "selftest --suites 3 --budget 2\n",
     cmd_selftest, help_selftest, false},
    {"doctor", "[--device D]", "what can and cannot be measured here, and the cure",
     "doctor\n"
     "doctor --format json\n",
     cmd_doctor, help_doctor, false},
    {"roofline", "[--device D] [--threads LIST]", "measure what arithmetic, memory and buses reach",
     "roofline\n"
     "roofline --threads 1,8 --rounds 20\n"
     "roofline --device cuda:0\n",
     cmd_roofline, help_roofline, false},
    {"export", "[RESULTS...] [--format F]", "records as tables, for people and other tools",
     "export --where op=attention\n"
     "export results/*/ --format csv --where case_kind=pipeline -o clips.csv\n"
     "export --format sql | sqlite3 results.db\n"
     "export --format gbench --where 'variant=avx2_*' -o b.json\n",
     cmd_export, help_export, false, "records"},
    {"gate", "[RESULTS...]", "has anything become slower than its own history?",
     "gate\n"
     "gate --percent 3 --absolute 0 --where case_kind=pipeline\n"
     "gate results/amd-epyc-7b13-4f2a91 --machine amd-epyc-7b13-4f2a91 --format json\n",
     cmd_gate, help_gate, false},
    {"plot", "[RESULTS...]", "draw scaling plots from result files",
     "plot\n"
     "plot results/*/ --out plots/out\n",
     cmd_plot, help_plot, false},
    {"list", "[ops|variants|models|counters|suites [NAME]]", "what there is, and what can run here",
     "list\n"
     "list models --format json\n"
     "list counters\n"
     "list suites quick\n",
     cmd_list, help_list, false, "what there is"},
    {"inspect", "FILE|DIR", "what a weights file or a model's folder holds",
     "inspect Wan2.1-T2V-1.3B-Diffusers\n"
     "inspect vae/diffusion_pytorch_model.safetensors --tensors\n"
     "inspect Wan2.1-T2V-1.3B-Diffusers --headers --format json\n",
     cmd_inspect, help_inspect, false},
    {"worker", "", "", "", cmd_worker, help_worker, true},
    {0},
};

static void usage(FILE *out)
{
    fputs("patchmark: how fast and how correctly does this machine make video with a diffusion"
          " transformer?\n\nusage: patchmark COMMAND [options]\n\n",
          out);
    for (const struct subcommand *c = subcommands; c->name; c++) {
        if (c->group)
            fprintf(out, "%s%s\n", c == subcommands ? "" : "\n", c->group);
        if (!c->hidden)
            fprintf(out, "  %-11s %s\n", c->name, c->summary);
    }
    fputs(
        "\n'patchmark COMMAND --help' shows the options and examples of one.\n"
        "exit codes: 0 ok, 1 a check failed or a row went wrong, 2 bad input or too little memory,"
        " 3 nothing asked for can run here\n",
        out);
}

static void help(const struct subcommand *c, FILE *out)
{
    fprintf(out, "usage: patchmark %s %s\n%s\n\noptions:\n", c->name, c->arguments, c->summary);
    c->help(out);
    fputs("\nexamples:\n", out);
    for (const char *line = c->examples; *line;) {
        size_t n = strcspn(line, "\n");
        fprintf(out, "  patchmark %.*s\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

static bool asks_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

static int unknown_command(const char *word)
{
    const char *names[32];
    int count = 0;
    for (const struct subcommand *c = subcommands; c->name && count < 32; c++)
        if (!c->hidden)
            names[count++] = c->name;
    char near[160];
    nearest_names(word, names, count, near, sizeof near);
    fprintf(stderr, "patchmark: unknown command '%s'%s 'patchmark --help' lists them\n", word,
            near[0] ? near : ";");
    return EXIT_INPUT;
}

static int run_command(const struct subcommand *c, int argc, char **argv)
{
    for (int i = 0; i < argc && !c->hidden; i++)
        if (asks_help(argv[i]) && argv[i][0] == '-') {
            help(c, stdout);
            return EXIT_OK;
        }
    struct fault fault = {{0}};
    int code = c->run(argc, argv, &fault);
    library_close();
    if (fault.text[0])
        fprintf(stderr, "patchmark: %s\n", fault.text);
    return interrupted_by ? 128 + interrupted_by : code;
}

/* A file opened while 0, 1 or 2 is closed would get its number, and with it what is printed. */
static void hold_standard_streams(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0 && fd <= STDERR_FILENO)
        ;
    if (fd >= 0)
        close(fd);
}

/* Output that a full disk swallowed is a failure. A reader that left early, as head does, chose to:
 * that ends as the signal would have, without a word. */
static int finish_output(int code)
{
    struct pollfd reader = {STDOUT_FILENO, 0, 0};
    bool lost = fflush(stdout) || ferror(stdout);
    if (!lost || code != EXIT_OK)
        return code;
    if (poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR))
        return 128 + SIGPIPE;
    fputs("patchmark: standard output could not be written\n", stderr);
    return EXIT_INPUT;
}

int main(int argc, char **argv)
{
    hold_standard_streams();
    threads_settle(argv);
    setlocale(LC_ALL, "C");
    signals_install();
    if (argc < 2 || asks_help(argv[1])) {
        usage(argc < 2 ? stderr : stdout);
        exit(finish_output(argc < 2 ? EXIT_INPUT : EXIT_OK));
    }
    if (!strcmp(argv[1], "--version")) {
        printf("patchmark %s\n", build_commit());
        exit(finish_output(EXIT_OK));
    }
    for (const struct subcommand *c = subcommands; c->name; c++)
        if (!strcmp(argv[1], c->name))
            exit(finish_output(run_command(c, argc - 2, argv + 2)));
    exit(unknown_command(argv[1]));
}
