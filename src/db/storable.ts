/**
 * A value as jsonb can hold it: PostgreSQL refuses NUL and halves of surrogate pairs, which programs do print, and one such
 * text would take down everything that is written with it.
 */
export function storable<T>(value: T): T {
  if (typeof value === "string") return value.replaceAll("\0", "\ufffd").toWellFormed() as T;
  if (Array.isArray(value)) return value.map(storable) as T;
  if (value !== null && typeof value === "object" && !(value instanceof Date)) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, storable(each)])) as T;
  }
  return value;
}
