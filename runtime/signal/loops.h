/* What the loops in C share: arrays of Python, and how a module is made. */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <string.h>

/* Add up in several lanes: compilers do so only if told. */
#define PRAGMA(text) _Pragma(#text)
#define SUM(...) PRAGMA(omp simd reduction(+ : __VA_ARGS__))
#define MAX_ARRAYS 16
typedef struct {
    Py_buffer arrays[MAX_ARRAYS];
    int count;
} Held;

/* The values of an array of this type ('f', 'd', '?', or 'r' for 'f' or 'd'), and how many; NULL with
 * an error set. */
static void *take(Held *held, PyObject *array, char type, int writable, Py_ssize_t *count) {
    Py_buffer *buffer = &held->arrays[held->count];
    int flags = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(array, buffer, flags)) return NULL;
    held->count++;
    char own = buffer->format && !buffer->format[1] ? buffer->format[0] : 0;
    if (own != type && !(type == 'r' && (own == 'f' || own == 'd'))) {
        PyErr_Format(PyExc_TypeError, "an array is not of type '%c'", type);
        return NULL;
    }
    *count = buffer->len / buffer->itemsize;
    return buffer->buf;
}

static PyObject *done(Held *held, PyObject *result) {
    while (held->count) PyBuffer_Release(&held->arrays[--held->count]);
    return PyErr_Occurred() ? (Py_XDECREF(result), NULL) : result;
}

static PyObject *refuse(Held *held, const char *what) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, what);
    return done(held, NULL);
}

static inline double clipped(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
}

/* Names of attributes, made once: to make one takes longer than to look it up. */
static inline int interned(PyObject **names, const char *const *texts, int count) {
    for (int i = 0; i < count; i++)
        if (!names[i] && !(names[i] = PyUnicode_InternFromString(texts[i]))) return -1;
    return 0;
}

/* An attribute that is a number. */
static inline double attribute(PyObject *state, PyObject *name) {
    PyObject *value = PyObject_GetAttr(state, name);
    double number = value ? PyFloat_AsDouble(value) : 0;
    Py_XDECREF(value);
    return number;
}

/* An attribute that its object holds as long as it is used here. */
static inline PyObject *borrowed(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    Py_XDECREF(value);
    return value;
}

/* Append what is new to a list, and let go of it. */
static inline void append(PyObject *list, PyObject *one) {
    if (list && one) PyList_Append(list, one);
    Py_XDECREF(one);
}

/* Give an attribute a new value. */
static inline void set(PyObject *state, PyObject *name, PyObject *value) {
    if (value) PyObject_SetAttr(state, name, value);
    Py_XDECREF(value);
}

/* A named tuple of these numbers or objects, which is let go of: `_make` in less time. */
static inline PyObject *named(PyObject *type, PyObject *tuple) {
    newfunc make = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    PyObject *given = tuple ? PyTuple_Pack(1, tuple) : NULL, *made = NULL;
    if (given) made = make((PyTypeObject *)type, given, NULL);
    Py_XDECREF(given);
    Py_XDECREF(tuple);
    return made;
}

/* Compiled for wider registers too, of which the processor takes what it has. Only for loops in which
 * each value has its own sum, so that the answers are the same. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

#define FAST(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}
#define MODULE(title, table)                                                                        \
    static PyModuleDef_Slot slots[] = {{Py_mod_exec, table}, {0, NULL}};                             \
    static PyModuleDef definition = {                                                               \
        .m_base = PyModuleDef_HEAD_INIT, .m_name = #title, .m_methods = methods, .m_slots = slots}; \
    PyMODINIT_FUNC PyInit_##title(void) { return PyModuleDef_Init(&definition); }
