// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* case_images.h   The image files of a case, read into its request; every refusal in one sentence. */
#ifndef PATCHMARK_CASE_IMAGES_H
#define PATCHMARK_CASE_IMAGES_H

#include "model/generate.h"

struct case_images {
    float *frame[2], *pixels[2]; /* the first and the last, in both forms; NULL: none */
};

/* Either path may be NULL. Where the clip is to be made (not only planned) a model that needs an
 * image refuses to go without. The request points into *out, which case_images_free() gives back,
 * also after a failure. */
enum status case_images_load(const char *first, const char *last, bool needed,
                             struct generate_request *r, struct case_images *out,
                             struct fault *fault);
void case_images_free(struct case_images *images);

#endif
