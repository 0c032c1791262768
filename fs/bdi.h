/*
 * fs/bdi.h - how far the kernel reads ahead on our mount. Confined.
 *
 * It is 128 KiB for a filesystem of FUSE, whatever the daemon offers, unless an
 * administrator writes another figure to sysfs. With 512 KiB, warm sequential
 * reads take three quarters of the time. 1 MiB would win a tenth more, but a
 * page fault at random, which reads as much around it, would fetch twice that.
 */
#ifndef PLURI_FS_BDI_H
#define PLURI_FS_BDI_H

/*
 * Let the kernel read that far ahead on the mount at `dir`, as it was given to
 * mount(2), if it reads less far. Asks the mount itself nothing, so it may be
 * called before anybody serves it. 0; -ENOENT: no such mount, or a directory
 * whose name the kernel would have to escape; -EACCES: only root may.
 */
int bdi_ahead(const char *dir, unsigned kib);

#endif
