// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "weights/checkpoint.h"

#include "base/text.h"
#include "weights/checkpoint_index.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AWAKE_MAX 4 /* shards with an open file descriptor */

struct part_file {
    char *path;
    struct safetensors *is;
};

struct checkpoint {
    char *path; /* as given */
    struct part_file *file;
    int files;
    struct checkpoint_tensor *tensor; /* sorted by name */
    int64_t count;
    int awake[AWAKE_MAX], next; /* a ring of file number + 1 */
};

static enum status no_memory(const struct checkpoint *c, struct fault *fault)
{
    return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", c->path);
}

/* ---- files ----------------------------------------------------------------------------------- */

enum status checkpoint_wake(struct checkpoint *c, int file, struct safetensors **out,
                            struct fault *fault)
{
    *out = c->file[file].is;
    for (int i = 0; i < AWAKE_MAX; i++)
        if (c->awake[i] == file + 1)
            return safetensors_wake(*out, fault);
    int *slot = &c->awake[c->next];
    c->next = (c->next + 1) % AWAKE_MAX;
    if (*slot)
        safetensors_rest(c->file[*slot - 1].is);
    *slot = file + 1;
    return safetensors_wake(*out, fault);
}

/* What people point at by mistake, by its first bytes. */
static const char *other_format(const char *path)
{
    static const struct {
        const char *magic;
        size_t bytes;
        const char *what;
    } known[] = {
        {"PK\3\4", 4, "a zip archive, as PyTorch's own checkpoints are (.pt, .pth, .bin)"},
        {"\x80\2", 2, "a Python pickle"},
        {"GGUF", 4, "a GGUF file"},
        {"\x89HDF", 4, "an HDF5 file"},
        {"{", 1, "JSON; name the folder of an index, not the index"},
        {"version https://git-lfs", 23,
         "a Git LFS pointer; fetch the file itself with git lfs pull"},
    };
    char head[32] = {0};
    struct stat info;
    FILE *in = stat(path, &info) == 0 && S_ISREG(info.st_mode) ? fopen(path, "rb") : NULL;
    size_t n = in ? fread(head, 1, sizeof head, in) : 0;
    if (in)
        fclose(in);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (n >= known[i].bytes && memcmp(head, known[i].magic, known[i].bytes) == 0)
            return known[i].what;
    return NULL;
}

static enum status add_file(struct checkpoint *c, const char *path, struct fault *fault)
{
    struct part_file *f = &c->file[c->files];
    struct fault why = {{0}};
    const char *other = NULL;
    f->path = strdup(path);
    if (!f->path)
        return no_memory(c, fault);
    enum status status = safetensors_open(path, &f->is, &why);
    if (status == ST_OK) {
        safetensors_rest(f->is);
        c->files++;
        return ST_OK;
    }
    free(f->path);
    if (status == ST_BAD_INPUT && (other = other_format(path)))
        return fault_set(fault, status, "%s is no safetensors file: it begins like %s", path,
                         other);
    return fault_set(fault, status, "%s", why.text);
}

/* ---- the list of tensors --------------------------------------------------------------------- */

static int compare_tensors(const void *a, const void *b)
{
    return strcmp(((const struct checkpoint_tensor *)a)->is->name,
                  ((const struct checkpoint_tensor *)b)->is->name);
}

static enum status list_tensors(struct checkpoint *c, struct fault *fault)
{
    int64_t count = 0;
    for (int i = 0; i < c->files; i++)
        count += safetensors_count(c->file[i].is);
    c->tensor = calloc((size_t)count + 1, sizeof *c->tensor);
    if (!c->tensor)
        return no_memory(c, fault);
    for (int i = 0; i < c->files; i++)
        for (int64_t k = 0; k < safetensors_count(c->file[i].is); k++)
            c->tensor[c->count++] = (struct checkpoint_tensor){safetensors_at(c->file[i].is, k), i};
    qsort(c->tensor, (size_t)count, sizeof *c->tensor, compare_tensors);
    return ST_OK;
}

static enum status refuse_tensor(const struct checkpoint *c, const char *name, const char *what,
                                 const char *file, struct fault *fault)
{
    char shown[120];
    const char *slash = strrchr(file, '/');
    return fault_set(fault, ST_BAD_INPUT, "%s: malformed shards: tensor \"%s\" %s %s", c->path,
                     text_printable(name, strlen(name), shown, sizeof shown), what,
                     slash ? slash + 1 : file);
}

/* Every tensor in exactly the shard that the index names, and nothing beside. */
static enum status check_index(const struct checkpoint *c, const struct shard_index *index,
                               struct fault *fault)
{
    uint64_t bytes = 0;
    for (int64_t i = 0; i < c->count; i++) {
        const struct checkpoint_tensor *t = &c->tensor[i];
        const char *file = c->file[t->file].path;
        const struct index_row *row = shard_index_find(index, t->is->name);
        if (!row)
            return refuse_tensor(c, t->is->name, "is not in the index, but in", file, fault);
        if (strcmp(row->shard, strrchr(file, '/') + 1) != 0)
            return refuse_tensor(c, t->is->name, "is not only in the shard of the index, but in",
                                 file, fault);
        bytes += t->is->end - t->is->begin;
    }
    for (int64_t i = 0; i < index->count; i++)
        if (!checkpoint_find(c, index->row[i].tensor))
            return refuse_tensor(c, index->row[i].tensor, "is absent from", index->row[i].shard,
                                 fault);
    if (index->total_bytes >= 0 && (uint64_t)index->total_bytes != bytes)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: malformed shards: the index says total_size %" PRId64
                         ", the tensors have %" PRIu64 " bytes",
                         c->path, index->total_bytes, bytes);
    return ST_OK;
}

/* ---- folders --------------------------------------------------------------------------------- */

/* The hub's cache keeps <model>/snapshots/<revision>/... as links into <model>/blobs. */
static bool in_blobs(const char *folder, const char *target)
{
    const char *snapshots = strstr(folder, "/snapshots/");
    size_t n = snapshots ? (size_t)(snapshots - folder) : 0;
    return n && strncmp(folder, target, n) == 0 && strncmp(target + n, "/blobs/", 7) == 0;
}

static enum status check_link(const char *folder, const char *path, struct fault *fault)
{
    char inside[PATH_MAX], target[PATH_MAX];
    if (!realpath(folder, inside) || !realpath(path, target))
        return fault_set(fault, ST_BAD_INPUT, "cannot open %s: %s", path, strerror(errno));
    size_t n = strlen(inside);
    if ((strncmp(inside, target, n) == 0 && target[n] == '/') || in_blobs(inside, target))
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "%s is a link that leads out of its folder; put the shard itself there", path);
}

static enum status add_shards(struct checkpoint *c, const char *name, struct fault *fault)
{
    char path[PATH_MAX];
    struct shard_index index;
    snprintf(path, sizeof path, "%s/%s", c->path, name);
    TRY(shard_index_read(path, &index, fault));
    c->file = calloc((size_t)index.shards + 1, sizeof *c->file);
    enum status status = c->file ? ST_OK : no_memory(c, fault);
    for (int i = 0; status == ST_OK && i < index.shards; i++) {
        snprintf(path, sizeof path, "%s/%s", c->path, index.shard[i]);
        status = check_link(c->path, path, fault);
        if (status == ST_OK)
            status = add_file(c, path, fault);
    }
    if (status == ST_OK)
        status = list_tensors(c, fault);
    if (status == ST_OK)
        status = check_index(c, &index, fault);
    shard_index_free(&index);
    return status;
}

static enum status add_single(struct checkpoint *c, const char *path, struct fault *fault)
{
    c->file = calloc(1, sizeof *c->file);
    if (!c->file)
        return no_memory(c, fault);
    TRY(add_file(c, path, fault));
    return list_tensors(c, fault);
}

static bool ends_with(const char *name, const char *tail)
{
    size_t n = strlen(name), m = strlen(tail);
    return n >= m && strcmp(name + n - m, tail) == 0;
}

#define INDEX_TAIL ".safetensors.index.json"
#define FILE_TAIL ".safetensors"

/* The names that the published folders use come before any other. */
struct candidates {
    char usual[256], other[256];
    int usuals, others;
};

static bool is_usual(const char *name, const char *tail)
{
    static const char *const stems[] = {"diffusion_pytorch_model", "model"};
    for (int i = 0; i < 2; i++)
        if (!strncmp(name, stems[i], strlen(stems[i])) && !strcmp(name + strlen(stems[i]), tail))
            return true;
    return false;
}

static void consider(const char *name, const char *tail, struct candidates *k)
{
    if (!ends_with(name, tail) || name[0] == '.')
        return;
    bool usual = is_usual(name, tail);
    snprintf(usual ? k->usual : k->other, sizeof k->usual, "%s", name);
    *(usual ? &k->usuals : &k->others) += 1;
}

static const char *chosen(const struct candidates *k) { return k->usuals ? k->usual : k->other; }
static int choices(const struct candidates *k) { return k->usuals ? k->usuals : k->others; }

static enum status look(const char *folder, struct candidates *indices, struct candidates *singles,
                        struct fault *fault)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return fault_set(fault, ST_BAD_INPUT, "cannot open %s: %s", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir));) {
        consider(e->d_name, INDEX_TAIL, indices);
        consider(e->d_name, FILE_TAIL, singles);
    }
    closedir(dir);
    return ST_OK;
}

static enum status open_folder(struct checkpoint *c, struct fault *fault)
{
    struct candidates indices = {.usuals = 0}, singles = {.usuals = 0};
    char path[PATH_MAX];
    TRY(look(c->path, &indices, &singles, fault));
    if (choices(&indices) > 1)
        return fault_set(fault, ST_BAD_INPUT, "%s holds %d indices of shards; leave one there",
                         c->path, choices(&indices));
    if (choices(&indices) == 1)
        return add_shards(c, chosen(&indices), fault);
    if (choices(&singles) == 0)
        return fault_set(fault, ST_BAD_INPUT, "%s holds no .safetensors file", c->path);
    if (choices(&singles) > 1)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s holds %d .safetensors files and no index of them; name one of them",
                         c->path, choices(&singles));
    snprintf(path, sizeof path, "%s/%s", c->path, chosen(&singles));
    return add_single(c, path, fault);
}

/* ---- the interface --------------------------------------------------------------------------- */

enum status checkpoint_open(const char *path, struct checkpoint **out, struct fault *fault)
{
    struct stat info;
    *out = NULL;
    struct checkpoint *c = calloc(1, sizeof *c);
    if (!c || !(c->path = strdup(path))) {
        free(c);
        return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", path);
    }
    bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    enum status status = is_folder ? open_folder(c, fault) : add_single(c, path, fault);
    if (status == ST_OK)
        *out = c;
    else
        checkpoint_free(c);
    return status;
}

void checkpoint_free(struct checkpoint *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->files; i++) {
        safetensors_free(c->file[i].is);
        free(c->file[i].path);
    }
    free(c->file);
    free(c->tensor);
    free(c->path);
    free(c);
}

int64_t checkpoint_count(const struct checkpoint *c) { return c->count; }

const char *checkpoint_path(const struct checkpoint *c) { return c->path; }

int checkpoint_files(const struct checkpoint *c) { return c->files; }

const char *checkpoint_file_path(const struct checkpoint *c, int file)
{
    return c->file[file].path;
}

const struct safetensors *checkpoint_file(const struct checkpoint *c, int file)
{
    return c->file[file].is;
}

const struct checkpoint_tensor *checkpoint_at(const struct checkpoint *c, int64_t index)
{
    return index >= 0 && index < c->count ? &c->tensor[index] : NULL;
}

static int compare_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct checkpoint_tensor *)tensor)->is->name);
}

const struct checkpoint_tensor *checkpoint_find(const struct checkpoint *c, const char *name)
{
    return c->count ? bsearch(name, c->tensor, (size_t)c->count, sizeof *c->tensor, compare_name)
                    : NULL;
}

enum status checkpoint_read(struct checkpoint *c, const struct checkpoint_tensor *tensor,
                            int64_t first, int64_t count, float *out, struct fault *fault)
{
    struct safetensors *file;
    TRY(checkpoint_wake(c, tensor->file, &file, fault));
    return safetensors_read(file, tensor->is, first, count, out, fault);
}
