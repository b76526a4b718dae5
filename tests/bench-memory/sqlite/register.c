/* Registers sqlite-vec with every connection, before `main`. */
#include "sqlite-vec.c"

extern int sqlite3_auto_extension(void (*entry)(void));

__attribute__((constructor)) static void register_sqlite_vec(void) {
  sqlite3_auto_extension((void (*)(void))sqlite3_vec_init);
}
