// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_layout.c   The rules of the tree: who may include whom, names of variants, licence headers,
 * no path of anyone's machine. Reads source files only. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES 1024
#define VARIANTS_MAX 1024

/* ---- walking --------------------------------------------------------------------------------- */

static int complaints;
static bool quiet; /* while the rules themselves are tested */

static void complain(const char *path, const char *what, const char *which)
{
    if (!quiet)
        print_error("%s: %s%s%s\n", path, what, which ? " " : "", which ? which : "");
    complaints++;
}

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_source(const char *path)
{
    static const char *const kinds[] = {".c", ".h", ".cc", ".cu", ".cuh"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (ends(path, kinds[i]))
            return true;
    }
    return false;
}

static char *slurp(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = calloc((size_t)size + 1, 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), (size_t)size);
    fclose(file);
    return text;
}

typedef void visit_fn(const char *path, char *text);

/* Calls visit for every regular file below dir; hidden ones and build outputs are not the
 * tree's. */
static int walk(const char *dir, visit_fn *visit)
{
    DIR *d = opendir(dir);
    int files = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[PATH_BYTES];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.' || strcmp(path, "plots/out") == 0 || stat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            files += walk(path, visit);
        } else if (S_ISREG(st.st_mode)) {
            char *text = slurp(path);
            visit(path, text);
            free(text);
            files++;
        }
    }
    if (d)
        closedir(d);
    return files;
}

/* ---- the top level --------------------------------------------------------------------------- */

/* What a test that writes beside its folder leaves behind is seen here. */
static void names_at_the_top_are_words(void **state)
{
    (void)state;
    DIR *d = opendir(".");
    assert_non_null(d);
    complaints = 0;
    for (struct dirent *e; (e = readdir(d));)
        for (const char *c = e->d_name; *c; c++)
            if (!isalnum((unsigned char)*c) && !strchr("._-+~#", *c)) {
                complain(e->d_name, "is no name for a file of this tree", NULL);
                break;
            }
    closedir(d);
    assert_int_equal(complaints, 0);
}

/* Every file of the program has a folder that says what it is for. */
static void harness_has_folders(void **state)
{
    (void)state;
    DIR *d = opendir("harness");
    assert_non_null(d);
    complaints = 0;
    for (struct dirent *e; (e = readdir(d));)
        if (is_source(e->d_name) && strcmp(e->d_name, "main.c") != 0)
            complain(e->d_name, "belongs into a folder of harness/", NULL);
    closedir(d);
    assert_int_equal(complaints, 0);
}

/* ---- includes -------------------------------------------------------------------------------- */

typedef void include_fn(const char *path, const char *name, bool quoted);

static void each_include(const char *path, const char *text, include_fn *visit)
{
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        char name[256], open;
        if (sscanf(line, "#include %c%255[^\">\n]", &open, name) == 2 ||
            sscanf(line, "# include %c%255[^\">\n]", &open, name) == 2)
            visit(path, name, open == '"');
    }
}

static bool exists(const char *dir, const char *name)
{
    char path[PATH_BYTES];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &st) == 0;
}

/* "denoise/linear/linear.h" */
static bool is_contract(const char *name)
{
    const char *slash = strrchr(name, '/');
    if (!slash || !ends(name, ".h"))
        return false;
    size_t length = strlen(slash + 1) - 2;
    return (size_t)(slash - name) > length && slash[-(ptrdiff_t)length - 1] == '/' &&
           strncmp(slash - length, slash + 1, length) == 0 && exists("kernels", name);
}

static bool in_list(const char *name, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(*list, name) == 0)
            return true;
    }
    return false;
}

/* kernels/<folder>/<op>/file or kernels/target/file: "<folder>/<op>/", or "target/". */
static void folder_of(const char *path, char *out, size_t bytes)
{
    const char *from = path + strlen("kernels/"), *slash = strrchr(from, '/');
    snprintf(out, bytes, "%.*s", slash ? (int)(slash + 1 - from) : 0, from);
}

/* Headers that one file is there to hide: kernels for GPUs see the CUDA Toolkit through it alone,
 * so that the emulated program can put its own in its place. */
static bool may_include(const char *path, const char *name)
{
    static const struct {
        const char *path, *name;
    } rows[] = {
        {"kernels/target/gpu.h", "cuda.h"},          {"kernels/target/gpu.h", "cuda_runtime.h"},
        {"kernels/target/gpu.h", "cuda_fp16.h"},     {"kernels/target/gpu.h", "cuda_bf16.h"},
        {"kernels/target/library.h", "dlfcn.h"},     {"kernels/target/cublaslt.h", "cublasLt.h"},
        {"kernels/target/cudnn.h", "cudnn_graph.h"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].path, path) && !strcmp(rows[i].name, name))
            return true;
    return false;
}

static void kernel_include(const char *path, const char *name, bool quoted)
{
    static const char *const system[] = {
        "assert.h",   "complex.h", "ctype.h",     "errno.h",    "fenv.h",     "float.h",
        "inttypes.h", "limits.h",  "math.h",      "stdalign.h", "stdarg.h",   "stdatomic.h",
        "stdbool.h",  "stddef.h",  "stdint.h",    "stdio.h",    "stdlib.h",   "string.h",
        "tgmath.h",   "omp.h",     "immintrin.h", "arm_neon.h", "arm_bf16.h", NULL};
    bool library = strstr(path, "_00_") != NULL || may_include(path, name);
    char own[256], full[512];
    folder_of(path, own, sizeof own);
    snprintf(full, sizeof full, "%s%s", own, name);
    if (!quoted) {
        if (!library && !in_list(name, system))
            complain(path, "includes more than libc, OpenMP and intrinsics:", name);
        return;
    }
    bool header = ends(path, ".h");
    bool mine = (begins(name, own) && exists("kernels", name)) ||
                (own[0] && !strchr(name, '/') && exists("kernels", full));
    bool target = begins(name, "target/") && exists("kernels", name);
    bool contract = is_contract(name) && (header || mine);
    if (strcmp(name, "op.h") != 0 && !target && !contract && !(mine && ends(name, ".h")))
        complain(path, "may not include", name);
}

static void reference_include(const char *path, const char *name, bool quoted)
{
    char own[256];
    snprintf(own, sizeof own, "%.*s", (int)(strrchr(path, '/') - path), path);
    bool contract = strcmp(name, "op.h") == 0 || is_contract(name);
    if (quoted && !contract && !exists("reference", name) && !exists(own, name))
        complain(path, "may include contracts and reference/ alone, not", name);
}

/* Everything above kernels/ sees contracts, never a variant, its algorithm or a target's
 * helpers. */
static void harness_include(const char *path, const char *name, bool quoted)
{
    if (quoted && exists("kernels", name) && strcmp(name, "op.h") != 0 && !is_contract(name))
        complain(path, "may not include a kernel's own header:", name);
}

static void visit_kernel(const char *path, char *text)
{
    if (is_source(path))
        each_include(path, text, kernel_include);
}

static void visit_reference(const char *path, char *text)
{
    if (is_source(path))
        each_include(path, text, reference_include);
}

static void visit_harness(const char *path, char *text)
{
    if (is_source(path))
        each_include(path, text, harness_include);
}

static void includes(void **state)
{
    (void)state;
    complaints = 0;
    assert_true(walk("kernels", visit_kernel) > 10);
    assert_true(walk("reference", visit_reference) > 10);
    assert_true(walk("harness", visit_harness) > 10);
    assert_int_equal(complaints, 0);
}

/* The rules themselves: each would notice its breach. */
static void rules_notice(void **state)
{
    (void)state;
    complaints = 0;
    quiet = true;
    kernel_include("kernels/denoise/linear/c_99_x.c", "harness/variant/registry.h", true);
    kernel_include("kernels/denoise/linear/c_99_x.c", "decode/conv3d/conv3d.h", true);
    kernel_include("kernels/denoise/linear/c_99_x.c", "cblas.h", false);
    kernel_include("kernels/denoise/linear/cuda_99_x.cu", "cuda_runtime.h", false);
    reference_include("reference/ops/linear.c", "variant/registry.h", true);
    reference_include("reference/ops/linear.c", "target/c.h", true);
    harness_include("harness/check/check.c", "target/c.h", true);
    assert_int_equal(complaints, 7);
    kernel_include("kernels/denoise/linear/c_99_x.c", "denoise/linear/linear.h", true);
    kernel_include("kernels/denoise/linear/c_99_x.c", "op.h", true);
    kernel_include("kernels/denoise/linear/lib_00_x.c", "cblas.h", false);
    reference_include("reference/ops/linear.c", "denoise/linear/linear.h", true);
    kernel_include("kernels/target/gpu.h", "cuda_runtime.h", false);
    harness_include("harness/ops/linear.c", "denoise/linear/linear.h", true);
    quiet = false;
    assert_int_equal(complaints, 7);
}

/* ---- kernels for GPUs ------------------------------------------------------------------------ */

/* What the emulated program cannot follow stays behind the names of target/gpu.h. */
static void visit_cuda(const char *path, char *text)
{
    static const char *const banned[] = {
        "asm(",   "asm volatile",       "<<<",    "extern __shared__",
        "cuda::", "cooperative_groups", "wmma::", NULL};
    bool cuda = ends(path, ".cu") || strstr(path, "target/cuda");
    for (int i = 0; cuda && banned[i]; i++)
        if (strstr(text, banned[i]))
            complain(path, "holds what belongs into target/gpu.h:", banned[i]);
}

static void kernels_for_gpus_can_be_emulated(void **state)
{
    char bad[] = "k<<<1, 32>>>();", good[] = "LAUNCH(k, 1, 32, 0, stream);";
    (void)state;
    complaints = 0;
    quiet = true;
    visit_cuda("kernels/denoise/linear/cuda_99_x.cu", bad);
    assert_int_equal(complaints, 1);
    quiet = false;
    visit_cuda("kernels/denoise/linear/cuda_99_x.cu", good);
    walk("kernels", visit_cuda);
    assert_int_equal(complaints, 1);
}

/* ---- variants -------------------------------------------------------------------------------- */

static char *variants[VARIANTS_MAX];
static int variant_count;

/* <target>_<nn>_<idea>, lower case. */
static bool well_named(const char *name, size_t length)
{
    size_t i = 0;
    while (i < length && (islower((unsigned char)name[i]) || isdigit((unsigned char)name[i])))
        i++;
    if (i == 0 || i + 4 >= length || name[i] != '_' || !isdigit((unsigned char)name[i + 1]) ||
        !isdigit((unsigned char)name[i + 2]) || name[i + 3] != '_')
        return false;
    for (i += 4; i < length; i++) {
        if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) && name[i] != '_')
            return false;
    }
    return true;
}

static void visit_variant(const char *path, char *text)
{
    const char *base = strrchr(path, '/') + 1, *dot = strrchr(base, '.');
    char op[128] = "", macro[512], own[256];
    if (!ends(path, ".c") && !ends(path, ".cu"))
        return;
    folder_of(path, own, sizeof own);
    sscanf(own, "%*[^/]/%127[^/]", op);
    if (!well_named(base, (size_t)(dot - base)))
        complain(path, "is not named <target>_<nn>_<idea>", NULL);
    snprintf(macro, sizeof macro, "VARIANT(%s, %.*s", op, (int)(dot - base), base);
    if (!strstr(text, macro))
        complain(path, "does not end with", macro);
    if (variant_count < VARIANTS_MAX)
        variants[variant_count++] = strndup(base, (size_t)(dot - base));
}

/* Comments may name an example; code may not. Strings stay. */
static void blank_comments(char *text)
{
    bool string = false;
    for (char *p = text; *p; p++) {
        if (*p == '"' && (p == text || p[-1] != '\\') && (p == text || p[-1] != '\''))
            string = !string;
        if (string || *p != '/' || (p[1] != '*' && p[1] != '/'))
            continue;
        const char *close = p[1] == '*' ? "*/" : "\n";
        char *end = strstr(p + 2, close);
        end = end ? end + (p[1] == '*' ? 2 : 0) : p + strlen(p);
        memset(p, ' ', (size_t)(end - p));
    }
}

static void visit_above(const char *path, char *text)
{
    if (!is_source(path))
        return;
    blank_comments(text);
    for (int i = 0; i < variant_count; i++) {
        if (strstr(text, variants[i]))
            complain(path, "names the variant", variants[i]);
    }
}

static void variants_are_strings_found_in_the_registry(void **state)
{
    (void)state;
    complaints = 0;
    walk("kernels", visit_variant);
    assert_true(variant_count > 0);
    walk("reference", visit_above);
    walk("harness", visit_above);
    for (int i = 0; i < variant_count; i++)
        free(variants[i]);
    assert_int_equal(complaints, 0);
    assert_true(well_named("avx2_01_flash", 13));
    assert_false(well_named("flash", 5));
    assert_false(well_named("avx2_1_flash", 12));
    assert_false(well_named("avx2_01_", 8));
}

/* ---- every file ------------------------------------------------------------------------------ */

static bool is_code(const char *path)
{
    static const char *const kinds[] = {".sh", ".py", ".gp", ".plt", ".mk"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (ends(path, kinds[i]))
            return true;
    }
    return is_source(path) || ends(path, "Makefile");
}

static void visit_licence(const char *path, char *text)
{
    char head[400];
    if (!is_code(path))
        return;
    snprintf(head, sizeof head, "%s", text);
    if (!strstr(head, "SPDX-FileCopyrightText: The Patchmark authors") ||
        !strstr(head, "SPDX-License-Identifier: Apache-2.0"))
        complain(path, "lacks the two SPDX lines at its top", NULL);
}

/* Where people and their sites keep files. */
static bool private_root(const char *word, size_t length)
{
    static const char *const roots[] = {"home", "root",      "Users",   "mnt",  "media",
                                        "work", "workspace", "scratch", "data", NULL};
    for (int i = 0; roots[i]; i++) {
        if (strlen(roots[i]) == length && strncmp(roots[i], word, length) == 0)
            return true;
    }
    return false;
}

/* A path begins where a slash follows a quote, a space or an opening bracket. */
static const char *foreign_path(const char *text)
{
    for (const char *p = text; (p = strchr(p, '/')); p++) {
        size_t length = strcspn(p + 1, "/ \n\"'");
        if (p > text && strchr("\"' (=:\t", p[-1]) && p[length + 1] == '/' &&
            private_root(p + 1, length))
            return p;
    }
    return NULL;
}

static void visit_paths(const char *path, char *text)
{
    const char *found = foreign_path(text);
    char shown[64];
    snprintf(shown, sizeof shown, "%.40s", found ? found : "");
    shown[strcspn(shown, "\n")] = '\0';
    if (found && is_code(path))
        complain(path, "names a path of some machine:", shown);
}

static void visit_plot(const char *path, char *text)
{
    static const char *const others[] = {"harness/", "kernels/", "reference/", "#include", NULL};
    for (int i = 0; others[i] && !ends(path, ".md"); i++) {
        if (strstr(text, others[i]))
            complain(path, "reads more than data files:", others[i]);
    }
}

static void every_file(visit_fn *visit)
{
    static const char *const folders[] = {"kernels", "reference", "harness",
                                          "plots",   "tests",     NULL};
    complaints = 0;
    for (int i = 0; folders[i]; i++)
        walk(folders[i], visit);
    char *makefile = slurp("Makefile");
    visit("Makefile", makefile);
    free(makefile);
    assert_int_equal(complaints, 0);
}

static void licences(void **state)
{
    (void)state;
    every_file(visit_licence);
}

static void no_path_of_a_machine(void **state)
{
    (void)state;
    every_file(visit_paths);
    assert_non_null(foreign_path("x = \"/"
                                 "home/someone\""));
    assert_null(foreign_path("open(\"/proc/self/exe\")"));
    assert_null(foreign_path("https://example.org/a"));
}

static void plots_read_data_alone(void **state)
{
    (void)state;
    complaints = 0;
    walk("plots", visit_plot);
    assert_int_equal(complaints, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_at_the_top_are_words),
        cmocka_unit_test(harness_has_folders),
        cmocka_unit_test(includes),
        cmocka_unit_test(rules_notice),
        cmocka_unit_test(kernels_for_gpus_can_be_emulated),
        cmocka_unit_test(variants_are_strings_found_in_the_registry),
        cmocka_unit_test(licences),
        cmocka_unit_test(no_path_of_a_machine),
        cmocka_unit_test(plots_read_data_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
