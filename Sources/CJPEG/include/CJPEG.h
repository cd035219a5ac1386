#pragma once
/* A part of a JPEG through libjpeg-turbo's own interface: the TurboJPEG one of version 2 knows no
   parts, and libjpeg's reports errors by setjmp and longjmp, which Swift cannot call. */
#include <stddef.h>

/* Decodes pictures one after the other; used by one thread. */
typedef struct crosscut_jpeg crosscut_jpeg;

/* NULL if there is no memory. */
crosscut_jpeg *crosscut_jpeg_make(void);
void crosscut_jpeg_free(crosscut_jpeg *self);
/* Begins a picture, whose bytes must stay until it is read. -1 with a message if it is none. */
int crosscut_jpeg_open(
    crosscut_jpeg *self, const unsigned char *bytes, size_t count, unsigned *width,
    unsigned *height, int *is_cmyk);
/* Scales it down by 1, 2, 4 or 8, and chooses the columns `*left` to `*left + *width` of what then
   is its width. More may come, since they do in whole blocks: the two are set to what does. -1 with
   a message. */
int crosscut_jpeg_start(crosscut_jpeg *self, unsigned divisor, unsigned *left, unsigned *width);
/* Writes rows `top` to `top + rows`, four bytes a pixel: red, green, blue and one more, or four
   inks. All of the picture is looked at; -1 with a message if any of it is damaged. */
int crosscut_jpeg_read(crosscut_jpeg *self, unsigned top, unsigned rows, unsigned char *pixels);
/* Of the last failure; valid until the next call. */
const char *crosscut_jpeg_message(const crosscut_jpeg *self);
