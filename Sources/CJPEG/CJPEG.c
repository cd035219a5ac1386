#include "include/CJPEG.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <jerror.h>

/* More are an attack: each scan of a progressive picture goes over all of its coefficients. */
enum { most_scans = 500, rows_at_once = 8 };

struct crosscut_jpeg {
  /* The first member: the callbacks are given its address. */
  struct jpeg_decompress_struct library;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf failed;
  char message[JMSG_LENGTH_MAX];
};

static void fail(j_common_ptr library) {
  crosscut_jpeg *self = (crosscut_jpeg *)library;
  self->errors.format_message(library, self->message);
  longjmp(self->failed, 1);
}

/* A warning is about pixels that were guessed: no whole picture. But cameras leave bytes between
   segments that no decoder needs. */
static void warn(j_common_ptr library, int level) {
  if (level < 0 && library->err->msg_code != JWRN_EXTRANEOUS_DATA) fail(library);
}

static void watch_scans(j_common_ptr library) {
  crosscut_jpeg *self = (crosscut_jpeg *)library;
  if (self->library.input_scan_number <= most_scans) return;
  snprintf(self->message, sizeof self->message, "more than %d scans", most_scans);
  longjmp(self->failed, 1);
}

crosscut_jpeg *crosscut_jpeg_make(void) {
  crosscut_jpeg *self = calloc(1, sizeof *self);
  if (!self) return NULL;
  self->library.err = jpeg_std_error(&self->errors);
  self->errors.error_exit = fail;
  self->errors.emit_message = warn;
  if (setjmp(self->failed)) {
    free(self);
    return NULL;
  }
  jpeg_create_decompress(&self->library);
  self->library.progress = &self->progress;
  self->progress.progress_monitor = watch_scans;
  return self;
}

void crosscut_jpeg_free(crosscut_jpeg *self) {
  jpeg_destroy_decompress(&self->library);
  free(self);
}

int crosscut_jpeg_open(
    crosscut_jpeg *self, const unsigned char *bytes, size_t count, unsigned *width,
    unsigned *height, int *is_cmyk) {
  struct jpeg_decompress_struct *library = &self->library;
  /* Whatever has become of the picture before. */
  jpeg_abort_decompress(library);
  if (setjmp(self->failed)) return -1;
  jpeg_mem_src(library, bytes, count);
  jpeg_read_header(library, TRUE);
  *width = library->image_width;
  *height = library->image_height;
  *is_cmyk =
      library->jpeg_color_space == JCS_CMYK || library->jpeg_color_space == JCS_YCCK;
  library->out_color_space = *is_cmyk ? JCS_CMYK : JCS_EXT_RGBX;
  return 0;
}

int crosscut_jpeg_start(crosscut_jpeg *self, unsigned divisor, unsigned *left, unsigned *width) {
  struct jpeg_decompress_struct *library = &self->library;
  if (setjmp(self->failed)) return -1;
  library->scale_num = 1;
  library->scale_denom = divisor;
  jpeg_start_decompress(library);
  /* At the edge of a part colours are interpolated as at the edge of a picture, over two pixels at
     the most: the edge is kept away. */
  const JDIMENSION margin = 4;
  JDIMENSION first = *left > margin ? *left - margin : 0;
  JDIMENSION end = *left + *width + margin;
  if (end > library->output_width) end = library->output_width;
  JDIMENSION columns = end - first;
  if (columns < library->output_width) jpeg_crop_scanline(library, &first, &columns);
  *left = first;
  *width = library->output_width;
  return 0;
}

int crosscut_jpeg_read(crosscut_jpeg *self, unsigned top, unsigned rows, unsigned char *pixels) {
  struct jpeg_decompress_struct *library = &self->library;
  if (setjmp(self->failed)) return -1;
  const size_t pitch = (size_t)library->output_width * 4;
  const JDIMENSION end = top + rows;
  if (top > 0) jpeg_skip_scanlines(library, top);
  JSAMPROW lines[rows_at_once];
  while (library->output_scanline < end) {
    JDIMENSION wanted = end - library->output_scanline;
    if (wanted > rows_at_once) wanted = rows_at_once;
    for (JDIMENSION line = 0; line < wanted; line++) lines[line] = pixels + line * pitch;
    pixels += pitch * jpeg_read_scanlines(library, lines, wanted);
  }
  /* What is skipped up to the end is not even looked at: its last row is read. */
  if (library->output_scanline < library->output_height) {
    if (library->output_scanline + 1 < library->output_height)
      jpeg_skip_scanlines(library, library->output_height - library->output_scanline - 1);
    JSAMPARRAY last = library->mem->alloc_sarray(
        (j_common_ptr)library, JPOOL_IMAGE, (JDIMENSION)pitch, 1);
    jpeg_read_scanlines(library, last, 1);
  }
  jpeg_finish_decompress(library);
  return 0;
}

const char *crosscut_jpeg_message(const crosscut_jpeg *self) { return self->message; }
