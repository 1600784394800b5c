// Each case of `tlsgate selftest` as a test of TAEF, the WDK's own harness: a row of Selftest.xml names the
// case, the program runs it, and its exit code is the verdict.
//
// By Microsoft's documentation of TAEF ("Table Data Source", "Runtime Parameters", "Running Tests Elevated").

#include <windows.h>

#include <WexTestClass.h>

#include <string>

using WEX::Common::String;
using WEX::Logging::Log;
using WEX::TestExecution::RuntimeParameters;
using WEX::TestExecution::TestData;

class Selftest
{
    BEGIN_TEST_CLASS(Selftest)
        // The device lets in SYSTEM and administrators only.
        TEST_CLASS_PROPERTY(L"RunAs", L"Elevated")
    END_TEST_CLASS()

    BEGIN_TEST_METHOD(Case)
        TEST_METHOD_PROPERTY(L"DataSource", L"Table:Selftest.xml#Cases")
        // Longer than the program gives a case; format: hours, minutes, seconds.
        TEST_METHOD_PROPERTY(L"TestTimeout", L"0:5:0")
    END_TEST_METHOD()
};

namespace
{
    // A handle that is closed with its scope.
    class Handle
    {
    public:
        Handle() = default;
        explicit Handle(HANDLE handle) : m_handle(handle) {}
        ~Handle() { Close(); }
        Handle(const Handle&) = delete;
        Handle& operator=(const Handle&) = delete;

        HANDLE Get() const { return m_handle; }
        HANDLE* Put() { return &m_handle; }
        void Close()
        {
            if (m_handle != nullptr)
            {
                CloseHandle(m_handle);
                m_handle = nullptr;
            }
        }

    private:
        HANDLE m_handle = nullptr;
    };

    // tlsgate.exe beside this DLL, or what /p:Program=... names.
    std::wstring Program()
    {
        String program;
        if (SUCCEEDED(RuntimeParameters::TryGetValue(L"Program", program)))
        {
            return static_cast<const wchar_t*>(program);
        }
        String folder;
        VERIFY_SUCCEEDED(RuntimeParameters::TryGetValue(L"TestDeploymentDir", folder));
        return std::wstring(static_cast<const wchar_t*>(folder)) + L"\\tlsgate.exe";
    }

    // Logs what comes out of a pipe, a line at a time, until all its writers are gone.
    void LogLines(HANDLE pipe)
    {
        std::wstring line;
        char buffer[512];
        DWORD read = 0;
        while (ReadFile(pipe, buffer, sizeof(buffer), &read, nullptr) && read > 0)
        {
            for (const char letter : std::string(buffer, read))
            {
                if (letter == '\n')
                {
                    Log::Comment(line.c_str());
                    line.clear();
                }
                else if (letter != '\r')
                {
                    line += static_cast<unsigned char>(letter);
                }
            }
        }
        if (!line.empty())
        {
            Log::Comment(line.c_str());
        }
    }

    // Runs a command line to its end, logs what it says, and gives its exit code.
    DWORD Run(std::wstring command)
    {
        SECURITY_ATTRIBUTES inherited = { sizeof(inherited), nullptr, TRUE };
        Handle output, input;
        VERIFY_WIN32_BOOL_SUCCEEDED(CreatePipe(output.Put(), input.Put(), &inherited, 0));
        VERIFY_WIN32_BOOL_SUCCEEDED(SetHandleInformation(output.Get(), HANDLE_FLAG_INHERIT, 0));

        STARTUPINFOW startup = {};
        startup.cb = sizeof(startup);
        startup.dwFlags = STARTF_USESTDHANDLES;
        startup.hStdOutput = input.Get();
        startup.hStdError = input.Get();
        PROCESS_INFORMATION process = {};
        VERIFY_WIN32_BOOL_SUCCEEDED(CreateProcessW(
            nullptr, command.data(), nullptr, nullptr, TRUE, CREATE_NO_WINDOW, nullptr, nullptr, &startup, &process));
        const Handle started(process.hProcess), thread(process.hThread);
        // The program has its own; with ours open the pipe would never end.
        input.Close();
        LogLines(output.Get());

        VERIFY_ARE_EQUAL(static_cast<DWORD>(WAIT_OBJECT_0), WaitForSingleObject(started.Get(), INFINITE));
        DWORD code = 0;
        VERIFY_WIN32_BOOL_SUCCEEDED(GetExitCodeProcess(started.Get(), &code));
        return code;
    }
}

void Selftest::Case()
{
    String name;
    VERIFY_SUCCEEDED(TestData::TryGetValue(L"Case", name));
    const std::wstring word = static_cast<const wchar_t*>(name);
    const std::wstring command =
        L"\"" + Program() + L"\" selftest " + word + L" --report \"selftest-" + word + L".json\"";
    Log::Comment(command.c_str());
    VERIFY_ARE_EQUAL(0UL, Run(command));
}
