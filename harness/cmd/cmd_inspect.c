// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_inspect.c   patchmark inspect: what a weights file or a model's folder holds, and whether it
 * is what the model code here would load. */
#include "cmd/commands.h"
#include "weights/inspect.h"

#include <string.h>

static bool json;
static bool tensors, headers;

static const struct option options[] = {
    FORMAT_OPTION(&json),
    {"--tensors", NULL, OPTION_FLAG, &tensors, "a line for every tensor"},
    {"--headers", NULL, OPTION_FLAG, &headers, "reads no weights, so counts no NaN and infinity"},
    {0},
};

void help_inspect(FILE *out)
{
    options_help(options, out);
    fputs(
        "\nFILE is a safetensors file of any name; DIR a component, or a model in the folder layout"
        "\nof diffusers. Exit code 1 where tensors or components are not what the model asks for, 2"
        "\nwhere something is malformed. NaN and infinity are reported and change no exit code.\n",
        out);
}

static enum status print_json(const struct inspection *in, struct fault *fault)
{
    struct json j;
    json_init(&j, true);
    inspection_json(in, &j);
    bool failed = j.failed;
    if (!failed)
        printf("%s\n", j.text);
    json_free(&j);
    return failed ? fault_set(fault, ST_NO_MEMORY, "out of memory for the document") : ST_OK;
}

/* Where a component could not be read, standard error says the first reason. */
static enum status verdict(const struct inspection *in, struct fault *fault)
{
    for (int i = 0; i < in->parts; i++)
        if (in->part[i].status != ST_OK)
            return fault_set(fault, in->part[i].status, "%s", in->part[i].why.text);
    if (in->status != ST_OK && in->status != ST_WRONG && in->problems)
        return fault_set(fault, in->status, "%s", in->problem[0]);
    return in->status;
}

int cmd_inspect(int argc, char **argv, struct fault *fault)
{
    static struct inspection in;
    const char *path = NULL;
    int count = 1;
    enum status status = options_parse(options, argc, argv, &path, &count, fault);
    if (status == ST_OK && count == 0)
        status = fault_set(fault, ST_BAD_INPUT,
                           "inspect wants a weights file or a model's folder after it");
    if (status != ST_OK)
        return exit_code_of(status);
    status = inspection_look(path, !headers, &in, fault);
    if (status == ST_OK && json)
        status = print_json(&in, fault);
    else if (status == ST_OK)
        inspection_print(&in, tensors);
    if (status == ST_OK)
        status = verdict(&in, fault);
    inspection_free(&in);
    return exit_code_of(status);
}
