import { operationLengthMax } from "../model/limits.ts";
import { limitName } from "../model/service-identity.ts";
import { emailPattern, hexIdPattern, uuidPattern, withoutLiterals } from "./name-patterns.ts";

/** A name can only hold something endless if it holds one of these. */
const mayBeEndless = /[\d?'"@]/;
const sqlVerb = /^\s*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|REPLACE|WITH|CALL|EXEC)\s/i;

/**
 * The operation that a span's name stands for: ids, addresses, queries and literals that make a new name of every request
 * are replaced, so that requests of one kind are counted together. Names that hold none of these stay as they are.
 *
 *   GET /user/123/cart?page=2                 GET /user/{id}/cart
 *   job 0af76519-16cd-43dd-8448-eb211c80319c  job {uuid}
 *   SELECT * FROM cart WHERE owner = 'Ann'    SELECT * FROM cart WHERE owner = ?
 */
export function operationOfName(name: string): string {
  return limitName(name.length > operationLengthMax ? name : withoutValues(name));
}

function withoutValues(name: string): string {
  if (!mayBeEndless.test(name)) return name;
  const general = name
    .replace(uuidPattern, "{uuid}")
    .replace(hexIdPattern, "{hex}")
    .replace(emailPattern, "{email}")
    .replace(/(?<=\/)\d+(?=$|[/?#\s])/g, "{id}")
    .replace(/(\/[^\s?]*)\?\S*/g, "$1");
  return sqlVerb.test(general) ? withoutLiterals(general) : general;
}
