// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "engine/case_images.h"

#include <inttypes.h>
#include <stdlib.h>

#include "media/picture.h"
#include "model/image.h"

/* Models made for two images attend to the rows of both; those that attend to none take a second
 * beside the noise. */
static bool takes_last(const struct model_config *m)
{
    return m->image_input == IMAGE_CHANNELS &&
           (!m->transformer.image_dim || m->transformer.image_rows > image_rows(&m->image));
}

static bool needs_last(const struct model_config *m)
{
    return takes_last(m) && m->transformer.image_dim;
}

static enum status check_last(const struct generate_request *r, struct fault *fault)
{
    const struct geometry *g = &r->geometry;
    if (!takes_last(r->model))
        return fault_set(fault, ST_BAD_INPUT,
                         "--last-image: %s takes the first frame alone; leave it out, or choose "
                         "another model ('patchmark list models')",
                         r->model->name);
    if (g->frames == g->pad_frames && g->T > 1)
        return ST_OK;
    const int64_t fits = g->T > 1 ? g->pad_frames : 1 + r->model->vae.scale_time;
    return fault_set(fault, ST_BAD_INPUT,
                     "--last-image: frames come by %" PRId64
                     " after the first, and with --frames %" PRId64
                     " the last would be dropped; %" PRId64 " would do",
                     r->model->vae.scale_time, g->frames, fits);
}

static enum status check_given(const char *first, const char *last, bool needed,
                               const struct generate_request *r, struct fault *fault)
{
    const struct model_config *m = r->model;
    if ((first || last) && m->image_input == IMAGE_NONE)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: %s makes clips without an image; leave it out, or choose another "
                         "model ('patchmark list models')",
                         first ? "--image" : "--last-image", m->name);
    if (last && !first)
        return fault_set(fault, ST_BAD_INPUT,
                         "--last-image is the second of two; give the first by --image FILE");
    if (last)
        TRY(check_last(r, fault));
    if (needed && !first && m->image_input == IMAGE_CHANNELS)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s makes a clip of an image; give it by --image FILE", m->name);
    if ((needed || first) && !last && needs_last(m))
        return fault_set(fault, ST_BAD_INPUT,
                         "%s makes a clip between two images; give the second by --last-image FILE",
                         m->name);
    return ST_OK;
}

static enum status load(const char *path, const struct generate_request *r, float **frame,
                        float **pixels, struct fault *fault)
{
    struct picture p;
    enum status status = picture_read(path, &p, fault);
    if (status == ST_OK)
        status = picture_frame(&p, &r->geometry, frame, fault);
    if (status == ST_OK && r->model->image.layers)
        status = picture_pixels(&p, r->model->image.size, pixels, fault);
    picture_free(&p);
    return status;
}

enum status case_images_load(const char *first, const char *last, bool needed,
                             struct generate_request *r, struct case_images *out,
                             struct fault *fault)
{
    *out = (struct case_images){0};
    TRY(check_given(first, last, needed, r, fault));
    if (first)
        TRY(load(first, r, &out->frame[0], &out->pixels[0], fault));
    if (last)
        TRY(load(last, r, &out->frame[1], &out->pixels[1], fault));
    r->image = out->frame[0], r->last_image = out->frame[1];
    r->image_pixels = out->pixels[0], r->last_image_pixels = out->pixels[1];
    return ST_OK;
}

void case_images_free(struct case_images *images)
{
    for (int i = 0; i < 2; i++) {
        free(images->frame[i]);
        free(images->pixels[i]);
    }
    *images = (struct case_images){0};
}
