/*
 * Writes down, in order, everything that a process does to the files below a folder: what is written where, what is synced,
 * what is created, renamed and removed. Loaded into the process with LD_PRELOAD.
 *
 * POWER_LOSS_FOLDER: absolute path without links. POWER_LOSS_JOURNAL: file to append to, outside of that folder.
 *
 * A record is: kind:1 path:(u16 text) other:(u16 text) offset:u64 length:u32 bytes:length, numbers little-endian.
 *   'c' created   'm' folder made   'w' written at offset   'y' written at offset and durable when the call returned
 *   't' cut or extended to offset   's' synced (a file, or a folder)   'r' renamed to other   'l' linked as other   'u' removed
 *
 * A call and its record are one step, so that the order of the records is the order of the calls.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* By descriptor. One that was closed behind our back, and given to another file, is known by its inode. */
static struct {
  char *path;
  dev_t device;
  ino_t inode;
  char durable;
} files[DESCRIPTORS];
static const char *folder;
static size_t folder_length;
static int journal = -1;

__attribute__((constructor)) static void start(void) {
  folder = getenv("POWER_LOSS_FOLDER");
  const char *file = getenv("POWER_LOSS_JOURNAL");
  if (folder == NULL || file == NULL) return;
  folder_length = strlen(folder);
  journal = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) abort();
}


/* Absolute, or NULL where it is not below the folder. The caller frees it. */
static char *watched(int at, const char *path) {
  char whole[PATH_MAX * 2];
  if (journal < 0 || path == NULL) return NULL;
  if (path[0] == '/') {
    strncpy(whole, path, sizeof whole - 1);
    whole[sizeof whole - 1] = 0;
  } else if (at == AT_FDCWD) {
    if (getcwd(whole, PATH_MAX) == NULL) return NULL;
    strncat(whole, "/", sizeof whole - strlen(whole) - 1);
    strncat(whole, path, sizeof whole - strlen(whole) - 1);
  } else {
    return NULL;
  }
  if (strncmp(whole, folder, folder_length) != 0) return NULL;
  if (whole[folder_length] != '/' && whole[folder_length] != 0) return NULL;
  return strdup(whole + folder_length);
}

static const char *path_of(int fd) {
  struct stat now;
  if (journal < 0 || fd < 0 || fd >= DESCRIPTORS || files[fd].path == NULL) return NULL;
  if (fstat(fd, &now) != 0 || now.st_dev != files[fd].device || now.st_ino != files[fd].inode) return NULL;
  return files[fd].path;
}

static void put(const void *data, size_t bytes) {
  const char *from = data;
  while (bytes > 0) {
    ssize_t done = syscall(SYS_write, journal, from, bytes);
    if (done < 0) abort();
    from += done;
    bytes -= done;
  }
}

static void put_text(const char *text) {
  uint16_t length = text == NULL ? 0 : strlen(text);
  put(&length, 2);
  put(text, length);
}

static void note_list(char kind, const char *path, const char *other, uint64_t offset, const struct iovec *parts, int count, size_t bytes) {
  uint32_t length = bytes;
  put(&kind, 1);
  put_text(path);
  put_text(other);
  put(&offset, 8);
  put(&length, 4);
  for (int at = 0; at < count && bytes > 0; at++) {
    size_t part = parts[at].iov_len < bytes ? parts[at].iov_len : bytes;
    put(parts[at].iov_base, part);
    bytes -= part;
  }
}

static void note(char kind, const char *path, const char *other, uint64_t offset) {
  note_list(kind, path, other, offset, NULL, 0, 0);
}

static void note_written(int fd, uint64_t offset, const struct iovec *parts, int count, ssize_t written) {
  if (written > 0) note_list(files[fd].durable ? 'y' : 'w', files[fd].path, NULL, offset, parts, count, written);
}

static int remember(int fd, char *path, int flags, int existed) {
  if (path == NULL) return fd;
  struct stat opened;
  if (fd >= 0 && fd < DESCRIPTORS && fstat(fd, &opened) == 0) {
    free(files[fd].path);
    files[fd].path = path;
    files[fd].device = opened.st_dev;
    files[fd].inode = opened.st_ino;
    files[fd].durable = (flags & (O_SYNC | O_DSYNC)) != 0;
    if ((flags & O_CREAT) && !existed) note('c', path, NULL, 0);
    if ((flags & O_TRUNC) && existed) note('t', path, NULL, 0);
  } else {
    free(path);
  }
  return fd;
}

static int open_at(int at, const char *path, int flags, mode_t mode) {
  char *known = watched(at, path);
  if (known == NULL) return syscall(SYS_openat, at, path, flags, mode);
  pthread_mutex_lock(&lock);
  struct stat before;
  int existed = fstatat(at, path, &before, 0) == 0;
  int fd = syscall(SYS_openat, at, path, flags, mode);
  int error = errno;
  remember(fd, known, flags, existed);
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

#define MODE_OF(flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list list; \
    va_start(list, flags); \
    mode = va_arg(list, mode_t); \
    va_end(list); \
  }

int open(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE_OF(flags) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE_OF(flags) return open_at(at, path, flags | O_LARGEFILE, mode); }

static ssize_t write_list_at(int fd, const struct iovec *parts, int count, off64_t offset) {
  pthread_mutex_lock(&lock);
  ssize_t written = syscall(SYS_pwritev, fd, parts, count, (unsigned long)offset, (unsigned long)((uint64_t)offset >> 32));
  int error = errno;
  note_written(fd, offset, parts, count, written);
  pthread_mutex_unlock(&lock);
  errno = error;
  return written;
}

static ssize_t write_list(int fd, const struct iovec *parts, int count) {
  pthread_mutex_lock(&lock);
  ssize_t written = syscall(SYS_writev, fd, parts, count);
  int error = errno;
  if (written > 0) note_written(fd, lseek64(fd, 0, SEEK_CUR) - written, parts, count, written);
  pthread_mutex_unlock(&lock);
  errno = error;
  return written;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  if (path_of(fd) != NULL) return write_list_at(fd, parts, count, offset);
  return syscall(SYS_pwritev, fd, parts, count, (unsigned long)offset, (unsigned long)((uint64_t)offset >> 32));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return pwritev(fd, parts, count, offset); }

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  struct iovec part = {(void *)data, bytes};
  if (path_of(fd) != NULL) return write_list_at(fd, &part, 1, offset);
  return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) { return pwrite(fd, data, bytes, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (path_of(fd) != NULL) return write_list(fd, parts, count);
  return syscall(SYS_writev, fd, parts, count);
}

ssize_t write(int fd, const void *data, size_t bytes) {
  struct iovec part = {(void *)data, bytes};
  if (path_of(fd) != NULL) return write_list(fd, &part, 1);
  return syscall(SYS_write, fd, data, bytes);
}

static int noted(int result, char kind, const char *path, const char *other, uint64_t offset) {
  int error = errno;
  if (result == 0) note(kind, path, other, offset);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int ftruncate(int fd, off_t length) {
  if (path_of(fd) == NULL) return syscall(SYS_ftruncate, fd, length);
  pthread_mutex_lock(&lock);
  return noted(syscall(SYS_ftruncate, fd, length), 't', files[fd].path, NULL, length);
}

int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int fsync(int fd) {
  if (path_of(fd) == NULL) return syscall(SYS_fsync, fd);
  pthread_mutex_lock(&lock);
  return noted(syscall(SYS_fsync, fd), 's', files[fd].path, NULL, 0);
}

int fdatasync(int fd) {
  if (path_of(fd) == NULL) return syscall(SYS_fdatasync, fd);
  pthread_mutex_lock(&lock);
  return noted(syscall(SYS_fdatasync, fd), 's', files[fd].path, NULL, 0);
}

static int two_paths(char kind, const char *from, const char *to, long call) {
  char *one = watched(AT_FDCWD, from), *other = watched(AT_FDCWD, to);
  int result;
  if (one == NULL || other == NULL) {
    result = syscall(call, from, to);
  } else {
    pthread_mutex_lock(&lock);
    result = noted(syscall(call, from, to), kind, one, other, 0);
  }
  free(one);
  free(other);
  return result;
}

int rename(const char *from, const char *to) { return two_paths('r', from, to, SYS_rename); }
int link(const char *from, const char *to) { return two_paths('l', from, to, SYS_link); }

static int one_path(char kind, int result_of_call, char *known) {
  int result = known == NULL ? result_of_call : noted(result_of_call, kind, known, NULL, 0);
  free(known);
  return result;
}

int unlink(const char *path) {
  char *known = watched(AT_FDCWD, path);
  if (known != NULL) pthread_mutex_lock(&lock);
  return one_path('u', syscall(SYS_unlink, path), known);
}

int mkdir(const char *path, mode_t mode) {
  char *known = watched(AT_FDCWD, path);
  if (known != NULL) pthread_mutex_lock(&lock);
  return one_path('m', syscall(SYS_mkdir, path, mode), known);
}
