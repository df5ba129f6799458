import { execFileSync } from "node:child_process";

/** Before all tests: some of them start the program as users do, so what they start must be what the sources say. */
export default function build(): void {
  execFileSync("npm", ["run", "build", "--silent"], { stdio: "inherit" });
}
